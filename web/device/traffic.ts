/** A `fetch` that tells of everything that it sends and gets. */
import type { Fetch } from "../../src/protocol/exchange.ts";
import type { Traffic } from "./messages.ts";

const bytesOf = (body: string | Uint8Array | undefined): number =>
  body === undefined ? 0 : typeof body === "string" ? new TextEncoder().encode(body).length : body.byteLength;

/** Wraps the platform's `fetch`; `tell` hears of a request when its answer has been read, or has failed (status 0). */
export function openTraffic(tell: (traffic: Traffic) => void): Fetch {
  return async (url, init) => {
    const at = Date.now();
    const { method } = init;
    const path = new URL(url).pathname;
    const bytesUp = bytesOf(init.body);
    const done = (status: number, bytesDown: number): void => tell({ at, method, path, status, bytesUp, bytesDown });
    let answer: Response;
    try {
      answer = await fetch(url, init);
    } catch (error) {
      done(0, 0);
      throw error;
    }
    const { status, statusText, headers } = answer;
    if (!answer.body) {
      done(status, 0);
      return answer;
    }
    let bytesDown = 0;
    const reader = answer.body.getReader();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        try {
          const next = await reader.read();
          if (next.done) {
            done(status, bytesDown);
            return controller.close();
          }
          bytesDown += next.value.byteLength;
          controller.enqueue(next.value);
        } catch (error) {
          done(0, bytesDown);
          controller.error(error);
        }
      },
      async cancel(reason) {
        done(status, bytesDown);
        await reader.cancel(reason);
      },
    });
    return new Response(body, { status, statusText, headers });
  };
}
