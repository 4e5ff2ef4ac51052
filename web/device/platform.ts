/** What the platform lacks or forbids, settled before anything else is loaded: import this first. */
import { z } from "zod";

// Its fast path compiles code from text, which the content-security-policy forbids.
z.config({ jitless: true });

// Where a page is not cross-origin isolated there is no shared memory. A device is one thread then, and plain memory does as well.
const globals = globalThis as { SharedArrayBuffer?: unknown };
globals.SharedArrayBuffer ??= ArrayBuffer;
