/** `sheaf harvest`: a model from what a live fleet has by now. */
import { Option } from "commander";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { chooseRun, connect, coordinatorOptions } from "../coordinator.ts";

export const harvest: CommandSpec = {
  name: "harvest",
  summary: "a model from what a live fleet has by now, saying which classes are missing; the run goes on",
  arguments: "[url]",
  options: [
    ...coordinatorOptions,
    new Option("--run <run>", "name or id of the run, where there are several"),
    new Option("--file <path>", "file to write; harvest.onnx in --out or here by default"),
  ],
  examples: [["harvest --file now.onnx", "of the coordinator on this machine"]],
  async run(invocation) {
    const { options, terminal, signal } = invocation;
    const { client } = await connect(invocation, invocation.arguments[0]);
    const { runId } = await chooseRun(client, options.run as string | undefined, signal);
    const { model, head, devices, missingClasses } = await client.call("harvestRun", { runId }, { signal });
    const file = (options.file as string | undefined) ?? `${options.out ?? "."}/harvest.onnx`;
    await writeFileAtomic(file, await client.fetchObject(model, { signal }));
    terminal.printJson({ runId, file, modelSha256: model.sha256, bytes: model.bytes, head, devices, missingClasses });
    terminal.print(`Model    ${file} (${formatBytes(model.bytes)})\nHead     ${head}\nDevices  ${devices.join(", ")}`);
    terminal.print(`Missing  ${missingClasses.length === 0 ? "no class" : missingClasses.join(", ")}`);
  },
};
