/** `sheaf harvest`: a model from what a live fleet has by now, or the one that it has made. */
import { Option } from "commander";
import type { Client } from "../../protocol/client.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { chooseRun, connect, coordinatorOptions } from "../coordinator.ts";

/** Whose branches a finished run's model has, and which classes nobody owns. */
async function ownersOf(client: Client, runId: string, signal: AbortSignal) {
  const { classNames, owners } = await client.call("getRun", { runId }, { signal });
  return { devices: [...new Set(owners.flat())].sort(), missingClasses: classNames.filter((_, classId) => owners[classId]?.length === 0) };
}

export const harvest: CommandSpec = {
  options: [
    ...coordinatorOptions,
    new Option("--run <run>", "name or id of the run, where there are several"),
    new Option("--file <path>", "file to write; harvest.onnx in --out or here by default"),
  ],
  examples: [["harvest --file now.onnx", "of the coordinator on this machine"]],
  async run(invocation) {
    const { options, terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.arguments[0]);
    const { runId, model: finished } = await chooseRun(client, options.run as string | undefined, signal);
    const { model, devices, missingClasses } = finished
      ? { model: finished, ...(await ownersOf(client, runId, signal)) }
      : await client.call("harvestRun", { runId }, { signal });
    const file = (options.file as string | undefined) ?? `${options.out ?? "."}/harvest.onnx`;
    const bytes = await client.fetchObject(model, { signal });
    const { readOnnx } = await import("../../onnx/read.ts");
    const head = readOnnx(bytes, { what: "The model" }).metadata.head ?? "";
    await writeFileAtomic(file, bytes);
    terminal.printJson({ runId, file, modelSha256: model.sha256, bytes: model.bytes, head, devices, missingClasses });
    terminal.print(`Model    ${file} (${formatBytes(model.bytes)})\nHead     ${head}\nDevices  ${devices.join(", ")}`);
    terminal.print(`Missing  ${missingClasses.length === 0 ? "no class" : missingClasses.join(", ")}`);
  },
};
