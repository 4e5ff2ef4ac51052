/** Debian's Chromium for tests of the coordinator's pages, a recording line to the coordinator, and folders of real pictures. */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, request as forward, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import type { SampleShape } from "../../src/data/dataset.ts";
import { encodePng } from "../../src/data/images.node.ts";
import { chromiumPath } from "../support/chromium.ts";

/** Whether there is a Chromium to test with; the set-up of all tests says why not. */
export const hasChromium: boolean = existsSync(chromiumPath);

/** A machine with other work starts browsers and trains in WebAssembly slowly. */
export const patienceMs = 400_000;

/** Starts Chromium without a window. Whoever runs tests as root, as in a container, has no sandbox. */
export function openChromium(...args: readonly string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    timeout: patienceMs,
    args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), ...args],
  });
}

/** A page in a context of its own, that is waited for with patience. */
export async function openPage(browser: Browser, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patienceMs);
  return context.newPage();
}

/** A picture of the whole page, for whoever asks for pictures by SHEAF_SCREENSHOTS=FOLDER. */
export async function shoot(page: Page, name: string): Promise<void> {
  const to = process.env.SHEAF_SCREENSHOTS;
  if (to !== undefined) await page.screenshot({ path: join(to, `${name}.png`), fullPage: true });
}

/** A request as it came out of a browser, and the size of its answer. */
export interface Recorded {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  answerHeaders: IncomingHttpHeaders;
  answerBytes: number;
}

/** A line to a coordinator that passes everything on and writes it down. */
export interface RecordingLine extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly Recorded[];
}

/** Opens a line to `target`, an address on this machine. */
export async function openRecordingLine(target: string): Promise<RecordingLine> {
  const requests: Recorded[] = [];
  const { hostname, port } = new URL(target);
  const server: Server = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = [];
    incoming.on("data", (piece: Buffer) => pieces.push(piece));
    incoming.on("end", () => {
      const { method = "GET", url = "/", headers } = incoming;
      const recorded: Recorded = { method, url, headers, body: Buffer.concat(pieces), answerHeaders: {}, answerBytes: 0 };
      requests.push(recorded);
      const sent = forward({ hostname, port, method, path: url, headers }, (answer) => {
        recorded.answerHeaders = answer.headers;
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.on("data", (piece: Buffer) => {
          recorded.answerBytes += piece.length;
        });
        answer.pipe(outgoing);
      });
      sent.on("error", () => outgoing.destroy());
      outgoing.on("close", () => sent.destroy());
      sent.end(recorded.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Labelled pictures. */
export interface Pictures {
  readonly classNames: readonly string[];
  readonly shape: SampleShape;
  readonly labels: ArrayLike<number>;
  /** [count, channels, height, width] */
  readonly pixels: Uint8Array;
}

/** Writes pictures as PNG files, a folder for each class, and gives the files' bytes. */
export async function writePictures(folder: string, { classNames, shape, labels, pixels }: Pictures): Promise<readonly Uint8Array[]> {
  const size = shape.channels * shape.height * shape.width;
  const written: Uint8Array[] = [];
  for (let i = 0; i < labels.length; i++) {
    const png = await encodePng(pixels.subarray(i * size, (i + 1) * size), shape);
    const ofClass = join(folder, classNames[labels[i] as number] as string);
    await mkdir(ofClass, { recursive: true });
    await writeFile(join(ofClass, `${String(i).padStart(5, "0")}.png`), png);
    written.push(png);
  }
  return written;
}

const windowBytes = 12;

/**
 * Finds stretches of samples in other bytes, wherever they begin there: every twelfth byte of a sample begins a stretch that is looked for, so that any
 * 23 bytes of it in a row are found. Stretches of fewer than four different values say nothing and are left out.
 */
export function openSampleSearch(samples: readonly Uint8Array[]): (bytes: Buffer) => boolean {
  const stretches = new Set<string>();
  for (const sample of samples) {
    const text = Buffer.from(sample).toString("latin1");
    for (let at = 0; at + windowBytes <= text.length; at += windowBytes) {
      const stretch = text.slice(at, at + windowBytes);
      if (new Set(stretch).size >= 4) stretches.add(stretch);
    }
  }
  return (bytes) => {
    const text = bytes.toString("latin1");
    for (let at = 0; at + windowBytes <= text.length; at++) if (stretches.has(text.slice(at, at + windowBytes))) return true;
    return false;
  };
}
