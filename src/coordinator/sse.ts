/** Server-sent events (HTML standard, section 9.2): a run's events as a stream that ends when its reader leaves, its token expires or the server closes. */
import type { WatchEvent } from "../protocol/operatorMessages.ts";

/** How often a line is sent when nothing happens, so that proxies keep the connection and dead ones are noticed. */
const keepAliveMs = 15_000;

const lineOf = ({ sequence, type, ...rest }: WatchEvent): string =>
  `${sequence > 0 ? `id: ${sequence}\n` : ""}event: ${type}\ndata: ${JSON.stringify({ sequence, type, ...rest })}\n\n`;

/** A stream of events. `end` is called once when it is over, whoever ended it. Events are fetched as fast as the reader takes them. */
export function eventStream(
  events: AsyncIterable<WatchEvent>,
  signal: AbortSignal,
  end: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  let timer: ReturnType<typeof setInterval> | undefined;
  let over = false;
  const finish = (): void => {
    if (over) return;
    over = true;
    clearInterval(timer);
    void iterator.return?.().catch(() => undefined);
    end();
  };
  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode("retry: 3000\n\n"));
      timer = setInterval(() => {
        // A reader that does not read gets no more lines to hold.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(": still here\n\n"));
      }, keepAliveMs);
      signal.addEventListener(
        "abort",
        () => {
          if (over) return;
          finish();
          controller.close();
        },
        { once: true },
      );
    },
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (over) return;
        if (!done) return controller.enqueue(encoder.encode(lineOf(value)));
        finish();
        controller.close();
      } catch (error) {
        if (over) return;
        finish();
        controller.error(error);
      }
    },
    cancel: finish,
  });
}
