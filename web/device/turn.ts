/** Lets a worker hear messages, timers and answers between two pieces of work. WebAssembly runs to its end in one go, and promises alone give nobody else a turn. */

const channel = new MessageChannel();
let waiting: (() => void)[] = [];
channel.port1.onmessage = () => {
  const all = waiting;
  waiting = [];
  for (const resume of all) resume();
};

/** Longest time that others wait; a turn itself takes some microseconds. */
const turnMs = 20;
let lastMs = 0;

/** Gives others a turn if they have not had one for a while. A timer would do too, but waits four milliseconds each time. */
export async function giveTurn(): Promise<void> {
  if (performance.now() - lastMs < turnMs) return;
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(undefined);
  });
  lastMs = performance.now();
}
