/** `sheaf cert`: a certificate authority of one's own for a fleet. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Option } from "commander";
import type { Authority } from "../../coordinator/certificates.node.ts";
import type { CommandSpec } from "../command.ts";

const authorityOption = new Option("--authority <dir>", "folder of the authority; made when missing").default("sheaf-authority");

const certificates = () => import("../../coordinator/certificates.node.ts");

async function opened(folder: string): Promise<Authority> {
  const { createAuthority, openAuthority } = await certificates();
  return await (existsSync(join(folder, "ca.pem")) ? openAuthority(folder) : createAuthority(folder));
}

export const certServer: CommandSpec = {
  options: [authorityOption],
  examples: [["cert server fleet.example 192.168.1.7 --authority ca", "for these names; then sheaf serve --authority ca"]],
  async run({ arguments: hosts, options, terminal }) {
    const authority = await opened(options.authority as string);
    const { certificatePath, keyPath, serial } = await authority.issueServer(hosts);
    terminal.printJson({ certificatePath, keyPath, serial, authority: authority.certificatePath, fingerprint: authority.fingerprint });
    terminal.print(
      `Certificate  ${certificatePath}\nKey          ${keyPath}\nAuthority    ${authority.certificatePath}\nFingerprint  ${authority.fingerprint}`,
    );
  },
};

export const certDevice: CommandSpec = {
  options: [authorityOption],
  examples: [["cert device kitchen-pi --authority ca", "devices/kitchen-pi.pem and .key in the authority's folder"]],
  async run({ arguments: [name = ""], options, terminal }) {
    const { certificatePath, keyPath, serial } = await (await opened(options.authority as string)).issueDevice(name);
    terminal.printJson({ certificatePath, keyPath, serial });
    terminal.print(`Certificate  ${certificatePath}\nKey          ${keyPath}\nSerial       ${serial}`);
  },
};

export const certRevoke: CommandSpec = {
  options: [authorityOption],
  examples: [["cert revoke 4f1a2b --authority ca", "by its serial number"]],
  async run({ arguments: [serial = ""], options, terminal }) {
    const folder = options.authority as string;
    const { openAuthority } = await certificates();
    await (await openAuthority(folder)).revoke(serial);
    const list = join(folder, "revoked.crl");
    terminal.printJson({ serial, list });
    terminal.print(`Revoked  ${serial}\nList     ${list}`);
  },
};
