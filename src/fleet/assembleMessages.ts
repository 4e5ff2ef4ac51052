/** What the coordinator's thread and the one that puts a model together say to each other. Both are of one build, so messages are typed and not checked. */
import type { ErrorCode } from "../util/errors.ts";
import type { Assembly, MadeModel } from "./assemble.ts";

/** What a thread is started with. */
export interface AssemblyJob {
  readonly assembly: Assembly;
  /** The coordinator's own folder, of which it only reads the objects. */
  readonly store: string;
  /** Where data sets lie. */
  readonly dataFolder: string | undefined;
}

/** The one thing that a thread says. */
export type AssemblyReply =
  | { readonly type: "made"; readonly made: MadeModel }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string };
