/** A deployed model file of Sheaf: opened, with what its metadata says. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type DeployedModel, readDeployedModel } from "../harvest/deployedModel.ts";
import { openSession } from "../runtime/session.node.ts";
import type { Session } from "../runtime/session.ts";
import { readFileChecked } from "../util/files.node.ts";
import { runFiles } from "./directory.ts";

export interface ModelFile extends DeployedModel {
  readonly path: string;
  readonly bytes: number;
  readonly session: Session;
}

/**
 * Opens a model by path, or the model of a run directory. The caller disposes of the session.
 * Throws `data` when there is no such file, `corrupt` when it is no model of Sheaf.
 */
export async function openModelFile(path: string): Promise<ModelFile> {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, runFiles.model) : path;
  const bytes = await readFileChecked(file, "model");
  const described = readDeployedModel(bytes, file);
  return { ...described, path: file, bytes: bytes.length, session: await openSession(bytes, { name: file }) };
}
