/** `sheaf export`: takes any part of a run out as a file. */
import { Option } from "commander";
import { SheafError } from "../../util/errors.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes } from "../../util/format.ts";
import { sha256Hex } from "../../util/hash.node.ts";
import type { CommandSpec } from "../command.ts";

export const exportModel: CommandSpec = {
  options: [
    new Option("--format <format>", "file format").choices(["onnx", "safetensors"]).default("onnx"),
    new Option("--file <path>", "file to write; PART.FORMAT (after --without, PART-without-DEVICE.FORMAT) in --out or the run by default"),
    new Option("--without <device>", "leave a lost device out of a head; may be given several times").argParser(
      (id: string, before: readonly string[] | undefined) => [...(before ?? []), id],
    ),
  ],
  examples: [
    ["export runs/vgg H0", "the global model with head H0, into runs/vgg/H0.onnx"],
    ["export runs/vgg H2 --without phone-mid", "the same of the other devices alone, with head H2 made from what they sent"],
    ["export runs/vgg raspberry-pi-4 --file pi.onnx", "one device's sub-model with its own classes and other"],
    ["export runs/vgg central --format safetensors", "weights of the central control"],
  ],
  async run({ arguments: [path = "", part = ""], options, terminal }) {
    const format = options.format as "onnx" | "safetensors";
    if (!/^[A-Za-z0-9_.-]+$/.test(part))
      throw new SheafError("usage", `"${part}" is no part of a run; name a head (H0 to H5), central, slim or a device.`);
    const { exportPart } = await import("../../run/exportRun.ts");
    const { openProgress } = await import("../progress.ts");
    const without = [...new Set((options.without as readonly string[] | undefined) ?? [])];
    const { bytes, classNames } = await exportPart(path, part, format, options.data, openProgress(terminal).data, without);
    const file =
      (options.file as string | undefined) ??
      `${options.out ?? path}/${[part, ...without.map((id) => `without-${id}`)].join("-")}.${format}`;
    await writeFileAtomic(file, bytes);
    terminal.printJson({ file, bytes: bytes.length, sha256: sha256Hex(bytes), classNames });
    terminal.print(`${file} (${formatBytes(bytes.length)}; classes ${classNames.join(", ")})`);
  },
};
