/** What the pages know of a run, kept up to date: its events as they come, its summary and devices whenever something happened and every few seconds. */
import type { Client } from "../../src/protocol/client.ts";
import { evaluationSchema, type FleetEvaluation } from "../../src/protocol/evaluation.ts";
import type { DeviceSummary, RunDetail } from "../../src/protocol/operatorMessages.ts";
import { newStory, type StoredObject, type Story, tell } from "./story.ts";

/** A run as it was last heard of. */
export interface Picture {
  readonly run: RunDetail;
  readonly devices: readonly DeviceSummary[];
  readonly story: Story;
  readonly evaluation: FleetEvaluation | undefined;
  /** By the coordinator's clock. */
  readonly now: number;
}

export interface FeedListener {
  readonly onPicture: (picture: Picture) => void;
  /** An error that does not pass by itself, or that the connection is being tried again; undefined when all is well. */
  readonly onTrouble: (error: unknown) => void;
}

const refreshMs = 3000;
/** Shortest time between two pictures. */
const settleMs = 250;

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
  });

/** All devices, page by page. */
export async function allDevices(client: Client, signal: AbortSignal): Promise<readonly DeviceSummary[]> {
  const devices: DeviceSummary[] = [];
  for (let after: string | undefined; ; ) {
    const { devices: page, next } = await client.call(
      "listDevices",
      { query: { limit: "1000", ...(after === undefined ? {} : { after }) } },
      { signal },
    );
    devices.push(...page);
    if (next === undefined) return devices;
    after = next;
  }
}

/** What was measured of a model; undefined where the coordinator has no validation samples. */
async function readEvaluation(client: Client, outputs: readonly StoredObject[], signal: AbortSignal): Promise<FleetEvaluation | undefined> {
  const object = outputs.find(({ role }) => role === "evaluation");
  if (!object) return undefined;
  const text = new TextDecoder().decode(await client.fetchObject(object, { signal }));
  const read = evaluationSchema.safeParse(JSON.parse(text));
  // An older coordinator told the accuracy alone.
  return read.success ? read.data : undefined;
}

/** Follows a run until the signal. Everything that goes wrong is told and tried again. */
export function followRun(client: Client, runId: string, { onPicture, onTrouble }: FeedListener, signal: AbortSignal): void {
  let story = newStory();
  let told: Pick<Picture, "run" | "devices"> | undefined;
  let evaluation: { readonly sha256: string; readonly value: FleetEvaluation | undefined } | undefined;
  let changed = true;
  let drawing = false;

  const draw = async (): Promise<void> => {
    if (drawing) return;
    drawing = true;
    await wait(settleMs, signal);
    drawing = false;
    if (told && !signal.aborted) onPicture({ ...told, story, evaluation: evaluation?.value, now: client.serverNow() });
  };
  const refresh = async (): Promise<void> => {
    const [run, devices] = await Promise.all([client.call("getRun", { runId }, { signal }), allDevices(client, signal)]);
    told = { run, devices };
    // The newest model that was measured: the run's own, or else the last harvest's.
    const models = [story.outputs, ...[...story.harvests.values()].reverse().map(({ outputs }) => outputs)];
    const outputs = models.find((each) => each.some(({ role }) => role === "evaluation")) ?? [];
    const sha256 = outputs.find(({ role }) => role === "evaluation")?.sha256;
    if (sha256 !== undefined && sha256 !== evaluation?.sha256)
      evaluation = { sha256, value: await readEvaluation(client, outputs, signal) };
    void draw();
  };
  /** Repeats something until the signal, and tells what goes wrong meanwhile. */
  const insist = async (action: () => Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      try {
        await action();
        return;
      } catch (error) {
        if (signal.aborted) return;
        onTrouble(error);
        await wait(refreshMs, signal);
      }
    }
  };

  void insist(async () => {
    while (!signal.aborted) {
      if (changed || !document.hidden) {
        changed = false;
        await refresh();
        onTrouble(undefined);
      }
      for (let waited = 0; waited < refreshMs && !(changed && waited >= settleMs) && !signal.aborted; waited += settleMs)
        await wait(settleMs, signal);
    }
  });
  void insist(async () => {
    const last = story.log.at(-1)?.sequence;
    for await (const event of client.watch(runId, { signal, ...(last === undefined ? {} : { after: last }) })) {
      story = tell(story, event);
      if (event.sequence > 0) changed = true;
      void draw();
    }
    changed = true;
  });
}
