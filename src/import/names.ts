/** Layer names from the foreign graph's, made legal and unique. */
import { inputName, type LayerType } from "../network/network.ts";
import type { ForeignNode } from "../onnx/foreign.ts";

/** Endings by which tools tell a layer's tensors from one another: PyTorch, Keras, Caffe, Paddle. */
const tensorEnding = /[./_](weight|bias|gamma|beta|kernel|W|w|b)(:0)?$/;

/** A node's name as its tool meant it: `/layer1/conv1/Conv` of PyTorch is `layer1/conv1`; `layer1.conv1.weight` says the same. */
function meaning(node: ForeignNode, weight: string | undefined, type: LayerType): string {
  const stem = weight !== undefined && tensorEnding.test(weight) ? weight.replace(tensorEnding, "") : "";
  if (/[A-Za-z]/.test(stem)) return stem;
  if (node.name.startsWith("#")) return `${type}${node.name.slice(1)}`;
  const parts = node.name.split("/").filter((part) => part !== "");
  // PyTorch repeats the container: `features/features.0` is `features.0`.
  for (let i = parts.length - 1; i > 0; i--) if (parts[i]?.startsWith(`${parts[i - 1]}.`)) parts.splice(i - 1, 1);
  if (parts.length > 1 && parts.at(-1)?.replace(/_\d+$/, "") === node.op) parts.pop();
  return parts.join("/");
}

/** Gives names, each once. */
export function nameGiver(): (node: ForeignNode, type: LayerType, weight?: string) => string {
  const taken = new Set<string>([inputName]);
  return (node, type, weight) => {
    const legal = meaning(node, weight, type)
      .replaceAll(/[^A-Za-z0-9_-]+/g, "_")
      .replaceAll(/^_+|_+$/g, "");
    const stem = legal === "" ? type : legal;
    let name = stem;
    for (let i = 2; taken.has(name); i++) name = `${stem}_${i}`;
    taken.add(name);
    return name;
  };
}
