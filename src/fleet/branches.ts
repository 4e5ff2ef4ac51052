/** Results in the coordinator's store as what the heads are made from, each read whole, checked against its hash and its shape. */
import { parametersRole } from "../coordinator/spec.ts";
import type { ObjectReader } from "../coordinator/store.ts";
import { inspectHarvest } from "../harvest/gate.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import type { Branch } from "../protocol/tasks.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { decodeSafetensors } from "../util/safetensors.ts";

/** An object's bytes. Throws `corrupt` when it is not there, has another length than announced or is not what its name says. */
export async function readObject(objects: ObjectReader, { role, sha256, bytes }: ObjectReference): Promise<Uint8Array<ArrayBuffer>> {
  const found = await objects.find(sha256);
  const stream = found?.bytes === bytes ? await objects.read(sha256) : undefined;
  if (!stream) {
    const got = found ? `one of ${found.bytes}` : "none";
    throw new SheafError("corrupt", `The ${role} should be object ${sha256.slice(0, 12)} of ${bytes} bytes, got ${got}; upload it again.`);
  }
  const content = new Uint8Array(await new Response(stream).arrayBuffer());
  if (sha256Hex(content) !== sha256)
    throw new SheafError("corrupt", `Object ${sha256.slice(0, 12)} is damaged on the coordinator's disk; restore it from a backup.`);
  return content;
}

/** A branch's weights, through the gate. Throws `corrupt` with the first reason. */
export function harvestOf({ device, taskSet, network, parameters: _, parameterBytes: __, ...rest }: Branch, bytes: Uint8Array): Harvested {
  const { tensors } = decodeSafetensors(bytes, `The result of ${device}`);
  // Widths and filter places say where a branch came from; nothing that runs it reads them.
  const subModel = { device, taskSet, network, widths: 1, filters: {} };
  return { ...rest, subModel, parameters: inspectHarvest(subModel, tensors) };
}

/** All of some branches, in their order. */
export async function readBranches(branches: readonly Branch[], objects: ObjectReader): Promise<readonly Harvested[]> {
  const harvested: Harvested[] = [];
  for (const branch of branches) {
    const { parameters: sha256, parameterBytes: bytes } = branch;
    harvested.push(harvestOf(branch, await readObject(objects, { role: parametersRole, sha256, bytes })));
  }
  return harvested;
}
