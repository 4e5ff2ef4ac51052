/** For `node --import`: when the process ends, appends the URL of each module that it loaded to the file that SHEAF_TEST_MODULES names. */
import { appendFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { pathToFileURL } from "node:url";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";

const hooks = `
let port;
export const initialize = (data) => { port = data.port; };
export async function load(url, context, nextLoad) {
  port.postMessage(url);
  return await nextLoad(url, context);
}`;
const { port1, port2 } = new MessageChannel();
register(`data:text/javascript,${encodeURIComponent(hooks)}`, { data: { port: port2 }, transferList: [port2] });
port1.unref();

process.on("exit", () => {
  const urls = new Set();
  for (let got = receiveMessageOnPort(port1); got; got = receiveMessageOnPort(port1)) urls.add(got.message);
  // What was required rather than imported.
  for (const path of Object.keys(createRequire(import.meta.url).cache)) urls.add(pathToFileURL(path).href);
  if (process.env.SHEAF_TEST_MODULES) appendFileSync(process.env.SHEAF_TEST_MODULES, [...urls].map((url) => `${url}\n`).join(""));
});
