/**
 * Tabs of a browser beside a Node device in one run: a tab is closed in mid-epoch and goes on, no sample leaves, and the model is as good as that of Node devices
 * alone with the same samples. Small here; `npm run browser` has more samples and larger networks.
 */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { hasChromium, openChromium, openPage, openRecordingLine, openSampleSearch, patienceMs, type RecordingLine } from "./browser.ts";
import { type Material, pictures, recordings } from "./material.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, json, type Scratch, scratch } from "./sheaf.ts";
import { checkpointStepOf, checkpointsOf, joinPageOf, joinWith, listenFor } from "./tabs.ts";

const isFull = process.env.SHEAF_BROWSER === "full";

interface Scale {
  readonly settings: string;
  readonly epochs: number;
  /** Training samples of each device. */
  readonly samples: number;
  readonly testSamples: number;
  /** Largest difference in accuracy, Node devices alone against a fleet with tabs: rounding differs, and training enlarges it. */
  readonly tolerance: number;
}

const scales: { readonly [name: string]: Scale } = isFull
  ? {
      pictures: { settings: "--network vgg11 --sub-width 0.1 --batch 32", epochs: 12, samples: 2000, testSamples: 2000, tolerance: 0.02 },
      recordings: {
        settings: "--network kws-vgg --sub-width 0.25 --batch 16",
        epochs: 15,
        samples: 600,
        testSamples: 532,
        tolerance: 0.03,
      },
    }
  : {
      pictures: { settings: "--network tiny --sub-width 0.5 --batch 10", epochs: 30, samples: 200, testSamples: 1000, tolerance: 0.04 },
      recordings: { settings: "--network tiny --sub-width 0.5 --batch 10", epochs: 60, samples: 100, testSamples: 532, tolerance: 0.06 },
    };

/** The parts of a fleet, by the names of their devices, and what came out. */
interface Outcome {
  readonly owners: readonly (readonly string[])[];
  readonly accuracy: number;
}

describe.skipIf(!built || !hasChromium)("tabs beside a Node device", () => {
  let folder: Scratch;
  let browser: Browser;
  beforeAll(async () => {
    folder = await scratch("browser-fleet");
    browser = await openChromium();
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await killAll();
  });
  afterAll(async () => {
    await browser?.close();
    await folder?.remove();
  });

  const serve = (name: string, { dataSet }: Material, { settings, epochs }: Scale): Running =>
    start(
      [
        ...["serve", ...dataSet, ...settings.split(" "), "--epochs", String(epochs), "--port", "0"],
        ..."--set serve.minimumDevices=3 --set serve.heartbeatSeconds=1 --set serve.leaseSeconds=30 --set serve.stragglerFactor=1000 --redundancy 2 --classes-per-device 7".split(
          " ",
        ),
        ...["--store", folder.at(name, "store"), "--out", folder.at(name)],
      ],
      folder.path,
    );
  const joinNode = async (coordinator: Running, name: string, samples: string, state: string): Promise<void> => {
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    start(["join", address, "--data-set", samples, "--profile", "raspberry-pi-4", "--name", name, "--state", state], folder.path);
  };
  const outcomeOf = async (coordinator: Running, name: string, { dataSet }: Material, { testSamples }: Scale): Promise<Outcome> => {
    await coordinator.until(/^SHA-256 /m);
    const said = coordinator.said();
    expect(said).not.toMatch(/refused|lost|given up|Missing/);
    const { runs } = (await json(["status", "--store", folder.at(name, "store")])) as { runs: { owners: string[][] }[] };
    const model = folder.at(name, "model.onnx");
    const { accuracy } = (await json(["eval", model, ...dataSet, "--test-count", String(testSamples)], { cwd: folder.path })) as Outcome;
    return { owners: runs[0]?.owners ?? [], accuracy };
  };

  const trains = async (kind: string, material: Material): Promise<void> => {
    const scale = scales[kind] as Scale;
    const { epochs, samples } = scale;
    const at = (name: string): string => folder.at(kind, name);
    const own = await material.write(at("one"), samples, 0);
    await material.write(at("two"), samples, 1);
    await material.write(at("three"), samples, 2);

    const coordinator = serve(`${kind}-tabs`, material, scale);
    const page = await joinPageOf(coordinator);
    await using line: RecordingLine = await openRecordingLine(page.origin);
    const first = await openPage(browser);
    const complaints = listenFor(first);
    const asked: string[] = [];
    first.context().on("request", (request) => asked.push(request.url()));
    await first.goto(`${line.url}/join${page.hash}`);
    expect(first.url()).toBe(`${line.url}/join`);
    await joinWith(first, folder.at(kind, "one", "train"), "one");
    const second = await openPage(browser);
    await second.goto(page.href);
    await joinWith(second, folder.at(kind, "two", "train"), "two");

    // Slowly, so that it is not done before it is closed; the device that the run still waits for comes after that is set.
    await second.getByText("Waiting for work").waitFor();
    await second.getByLabel("A fifth").check();
    await joinNode(coordinator, "three", at("three"), at("three-state"));

    // Closed while it trains, past a checkpoint, one of which is written every ten seconds.
    await second.getByText(new RegExp(`^([2-9]|\\d\\d+) of ${epochs}$`)).waitFor();
    await expect.poll(() => checkpointsOf(second), { timeout: patienceMs }).not.toEqual([]);
    expect(coordinator.said()).not.toMatch(/two has done train/);
    const context = second.context();
    await second.close();
    const again = await context.newPage();
    await again.goto(`${page.origin}/icon.svg`);
    const step = await checkpointStepOf(again);
    expect(step).toBeGreaterThan(0);
    await again.goto(`${page.origin}/join`);
    await again.getByText(`Went on from step ${step}, where it was left.`).waitFor();

    const together = await outcomeOf(coordinator, `${kind}-tabs`, material, scale);
    for (const name of ["one", "two", "three"]) expect(coordinator.said()).toContain(`${name} has done train`);
    await killAll();

    // What the first tab sent in its whole life.
    const hasSample = openSampleSearch(own);
    expect(hasSample(Buffer.concat([Buffer.from("{"), Buffer.from(own[0] as Uint8Array).subarray(5000, 5030)]))).toBe(true);
    const sent = line.requests.filter(({ method }) => method !== "GET");
    expect(sent.some(({ url }) => url === "/v1/enrol")).toBe(true);
    expect(sent.some(({ method }) => method === "PATCH")).toBe(true);
    for (const { method, url, headers, body } of line.requests) {
      expect(hasSample(body), `${method} ${url}`).toBe(false);
      expect(hasSample(Buffer.from(body.toString("latin1"), "base64")), `${method} ${url}`).toBe(false);
      expect(hasSample(Buffer.from(JSON.stringify(headers) + decodeURIComponent(url)))).toBe(false);
    }
    // Where the token went: into bodies, and into no address.
    const token = page.hash.slice(1);
    expect(line.requests.filter(({ body }) => body.includes(token)).map(({ url }) => url)).toEqual(
      expect.arrayContaining(["/v1/invitation", "/v1/enrol"]),
    );
    for (const { url, headers } of line.requests) expect(url + JSON.stringify(headers)).not.toContain(token);
    expect(asked.filter((url) => !url.startsWith(`${line.url}/`) && !url.startsWith("blob:"))).toEqual([]);
    expect(complaints).toEqual([]);
    const document = line.requests.find(({ url }) => url === "/join");
    expect(document?.answerHeaders["content-security-policy"]).not.toMatch(/unsafe-inline|'unsafe-eval'/);
    // Each script once, as it came over the line.
    const scripts = line.requests.filter(
      ({ url, answerHeaders }) => answerHeaders["content-type"]?.startsWith("text/javascript") && !url.includes("/ort"),
    );
    const scriptBytes = [...new Map(scripts.map(({ url, answerBytes }) => [url, answerBytes])).values()].reduce(
      (sum, each) => sum + each,
      0,
    );
    console.log(`JavaScript of the join page with ${material.name}: ${scriptBytes} bytes compressed`);
    expect(scriptBytes).toBeGreaterThan(30_000);
    expect(scriptBytes).toBeLessThan(300_000);

    const nodes = serve(`${kind}-node`, material, scale);
    for (const name of ["one", "two", "three"]) await joinNode(nodes, name, at(name), at(`${name}-node`));
    const alone = await outcomeOf(nodes, `${kind}-node`, material, scale);
    const figures = `${material.name}: accuracy ${together.accuracy} with two tabs, ${alone.accuracy} with Node devices alone`;
    console.log(figures);
    expect(together.owners).toEqual(alone.owners);
    expect(Math.abs(together.accuracy - alone.accuracy), figures).toBeLessThanOrEqual(scale.tolerance);
    // Better than chance.
    expect(together.accuracy, figures).toBeGreaterThan(0.15);
  };

  it(`make the model that Node devices make, from ${pictures.name}`, () => trains("pictures", pictures), 1_800_000);

  it("make the model that Node devices make, from real recordings of words", async ({ skip }) => {
    if (recordings) await trains("recordings", recordings);
    else skip("SHEAF_DATA has no speech_commands.");
  }, 1_800_000);
});
