/** A lock on a folder that the operating system lets go of when its owner dies, however it dies: a listening socket named after the folder. */
import { rm, stat } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SheafError } from "../util/errors.ts";

/** A socket's name for a folder, by its place on the disk, so that links and mounts of one folder have one lock. Linux and Windows have names that leave no file. */
async function socketName(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true });
  const name = `sheaf-agent-${dev}-${ino}`;
  if (process.platform === "linux") return `\0${name}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

function listen(name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}

const answers = (name: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(name, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

/** Takes a folder for this process. Throws `config` while another process of this machine has it. Disposing twice is fine. */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const name = await socketName(folder);
  let server: Server;
  try {
    server = await listen(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    // Only a socket that is a file can be left behind by a dead process.
    if (process.platform === "linux" || process.platform === "win32" || (await answers(name))) {
      throw new SheafError(
        "config",
        `${folder} is in use by another agent on this machine; stop it, or give this one a state folder of its own with --state.`,
      );
    }
    await rm(name, { force: true });
    server = await listen(name);
  }
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}
