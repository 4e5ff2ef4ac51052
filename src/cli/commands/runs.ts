/** `sheaf runs ...` and `sheaf devices ...`: what an administrator does with a coordinator's runs and devices. */
import { Option } from "commander";
import type { Client } from "../../protocol/client.ts";
import type { DeviceSummary } from "../../protocol/operatorMessages.ts";
import { SheafError } from "../../util/errors.ts";
import { table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { allDevices, chooseRun, connect, coordinatorOptions } from "../coordinator.ts";
import { counted } from "../fleetLines.ts";
import { hoursOf, wholeOf } from "../numbers.ts";
import { clockTime } from "../terminal.ts";
import { deviceTable } from "./status.ts";

const urlOption = new Option("--url <url>", "address of the coordinator; the one on this machine by default");
const options = [...coordinatorOptions, urlOption] as const;
const routeOf = { pause: "pauseRun", resume: "resumeRun", cancel: "cancelRun", archive: "archiveRun" } as const;

const action = (name: keyof typeof routeOf): CommandSpec => ({
  options,
  examples: [[`runs ${name} fleet`, "by the run's name or id"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const { runId } = await chooseRun(client, invocation.arguments[0], signal);
    const run = await client.call(routeOf[name], { runId }, { signal });
    terminal.printJson(run);
    terminal.print(`${run.name}  ${run.runId}  ${run.status}${run.archived ? ", archived" : ""}`);
  },
});

export const runsPause: CommandSpec = action("pause");
export const runsResume: CommandSpec = action("resume");
export const runsCancel: CommandSpec = action("cancel");
export const runsArchive: CommandSpec = action("archive");

export const runsList: CommandSpec = {
  options: [...options, new Option("--archived", "archived ones too")],
  examples: [["runs list --archived", "all that there were"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const { runs } = await client.call("listRuns", invocation.options.archived === true ? { query: { archived: "true" } } : {}, { signal });
    terminal.printJson({ runs });
    const rows = runs.map((run) => [
      run.name,
      run.runId,
      run.archived ? "archived" : run.status,
      `${run.tasks.done} of ${run.tasks.total}`,
      `${run.classes.covered} of ${run.classes.total}`,
    ]);
    const head = ["run", "id", "status", "tasks", "classes"];
    terminal.print(rows.length === 0 ? "No run." : table([head, ...rows], { align: ["left", "left", "left", "right", "right"] }));
  },
};

export const runsCreate: CommandSpec = {
  flags: [
    "trainCount",
    "testCount",
    "network",
    "width",
    "epochs",
    "batch",
    "learningRate",
    "subWidth",
    "redundancy",
    "classesPerDevice",
    "rho",
    "head",
  ],
  options,
  examples: [["runs create second --config examples/fleet.yaml --set seed=1", "devices take part in it as they are free"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const config = (await invocation.config()) as unknown as Readonly<Record<string, unknown>>;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    // As JSON has it: without keys that hold nothing.
    const plain = JSON.parse(JSON.stringify(config)) as Readonly<Record<string, unknown>>;
    const run = await client.call("createRun", { body: { name: invocation.arguments[0] ?? "", config: plain } }, { signal });
    terminal.printJson(run);
    terminal.print(`${run.name}  ${run.runId}  ${run.status}`);
  },
};

export const devicesInvite: CommandSpec = {
  options: [
    ...options,
    new Option("--role <role>", "what its bearer may be").choices(["device", "viewer", "admin"]).default("device"),
    new Option("--uses <n>", "devices that it is good for").argParser(wholeOf).default(1),
    new Option("--hours <n>", "hours that it is good for").argParser(hoursOf).default(24),
  ],
  examples: [["devices invite --uses 5", "a line for five devices"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { role, uses, hours } = invocation.options as unknown as { role: "device" | "viewer" | "admin"; uses: number; hours: number };
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const answer = await client.call("createJoinToken", { body: { role, uses, expiresInSeconds: Math.round(hours * 3600) } }, { signal });
    terminal.printJson(answer);
    if (answer.dashboard !== undefined) terminal.print(`Dashboard, for one sign-in: ${answer.dashboard}`);
    terminal.print(answer.line);
    const until = `${new Date(answer.expiresAt).toLocaleDateString("sv")} ${clockTime(answer.expiresAt).slice(0, 5)}`;
    terminal.note(
      role === "device" ? `Good for ${counted(uses, "device")}, until ${until}.` : `Good until ${until}; whoever has it is ${role}.`,
    );
  },
};

export const devicesList: CommandSpec = {
  options,
  examples: [["devices list", "of the coordinator on this machine"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const devices = await allDevices(client, signal);
    terminal.printJson({ devices });
    terminal.print(devices.length === 0 ? "No device has joined." : deviceTable(devices));
  },
};

/** The device of this name or id. Throws `usage` where that is not one. */
async function chooseDevice(client: Client, wanted: string, signal: AbortSignal): Promise<DeviceSummary> {
  const devices = await allDevices(client, signal);
  const found = devices.filter(({ deviceId, name }) => deviceId === wanted || name === wanted);
  const [device] = found;
  if (device && found.length === 1) return device;
  throw new SheafError("usage", `${found.length} devices are called "${wanted}"; name one by its id, as sheaf devices --json lists them.`);
}

export const devicesRevoke: CommandSpec = {
  options,
  examples: [["devices revoke kitchen-pi", "by its name or id"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const { deviceId } = await chooseDevice(client, invocation.arguments[0] ?? "", signal);
    const revoked = await client.call("revokeDevice", { deviceId }, { signal });
    terminal.printJson(revoked);
    terminal.print(`${revoked.name}  ${revoked.deviceId}  ${revoked.status}`);
  },
};

export const devicesExcuse: CommandSpec = {
  options: [...options, new Option("--run <run>", "name or id of the run, where there are several")],
  examples: [["devices excuse kitchen-pi", "its part is others' at once, and given up where nobody else can do it"]],
  async run(invocation) {
    const { terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.options.url as string | undefined);
    const { deviceId, name } = await chooseDevice(client, invocation.arguments[0] ?? "", signal);
    const { runId } = await chooseRun(client, invocation.options.run as string | undefined, signal);
    const run = await client.call("excuseDevice", { runId, body: { deviceId } }, { signal });
    terminal.printJson(run);
    terminal.print(`Run ${run.name} does not wait for ${name} any more.`);
  },
};
