/** The worker in which the device lives: takes the page's messages one after another and answers each. */
import "./platform.ts";
import { type Device, openDevice } from "./device.ts";
import type { FromDevice, ToDevice } from "./messages.ts";

const tell = (message: FromDevice): void => self.postMessage(message);

let opening: Promise<Device> | undefined;
let joinToken: string | undefined;

const handlers: { readonly [T in ToDevice["type"]]: (message: Extract<ToDevice, { type: T }>, device: Device) => Promise<void> } = {
  async open(message, device) {
    ({ joinToken } = message);
    const left = await device.left();
    const invitation = joinToken === undefined ? undefined : await device.invitation(joinToken);
    tell({ type: "opened", invitation, left });
  },
  async prepare({ run, files }, device) {
    let toldAt = 0;
    const { held, problems } = await device.prepare(run, files, (done) => {
      if (performance.now() - toldAt < 100 && done < files.length) return;
      toldAt = performance.now();
      tell({ type: "preparing", done, total: files.length });
    });
    tell({ type: "prepared", held, problems });
  },
  start: ({ type: _, ...options }, device) => device.start(options, joinToken),
  async conduct({ conduct }, device) {
    device.conduct(conduct);
  },
  async forget(_, device) {
    await device.forget();
    tell({ type: "forgotten" });
  },
};

self.addEventListener("message", async ({ data }: MessageEvent<ToDevice>) => {
  try {
    opening ??= openDevice(tell);
    const handle = handlers[data.type] as (message: ToDevice, device: Device) => Promise<void>;
    await handle(data, await opening);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tell({ type: "failed", during: data.type, message });
  }
});
