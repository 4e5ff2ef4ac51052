/** The systemd unit that keeps an agent running: started at boot, again after a crash, stopped so that it writes its checkpoint. Text only; who writes it is the command line. */

export interface ServiceOptions {
  /** Program and arguments, the join token not among them: a unit is readable by all. */
  readonly command: readonly string[];
  /** Name of the coordinator, for people. */
  readonly description: string;
  /** Environment variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether the unit is a user's own (`systemctl --user`) or the machine's. */
  readonly scope: "user" | "system";
  /** Account that it runs as, for the machine's. */
  readonly user?: string;
}

/** An argument as systemd reads it: quoted, with its specifiers and variables taken literally (systemd.service(5), "Command lines"). */
function quote(argument: string): string {
  const literal = argument.replace(/%/g, "%%").replace(/\$/g, "$$$$");
  return /^[A-Za-z0-9_@./:=,+%$-]+$/.test(literal) ? literal : `"${literal.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"`;
}

/** The unit file. */
export function serviceUnit({ command, description, environment = {}, scope, user }: ServiceOptions): string {
  const lines = [
    "[Unit]",
    `Description=Sheaf device of ${description.replace(/\s+/g, " ").replace(/%/g, "%%")}`,
    ...(scope === "system" ? ["After=network-online.target", "Wants=network-online.target"] : []),
    // However often it fails, it is started again.
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${command.map(quote).join(" ")}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quote(`${name}=${value}`)}`),
    ...(scope === "system" && user ? [`User=${user}`] : []),
    "Restart=on-failure",
    "RestartSec=15",
    // The step under way ends and the checkpoint is written.
    "KillSignal=SIGINT",
    "SuccessExitStatus=130",
    "TimeoutStopSec=120",
    "Nice=10",
    "NoNewPrivileges=true",
    "",
    "[Install]",
    `WantedBy=${scope === "user" ? "default.target" : "multi-user.target"}`,
  ];
  return `${lines.join("\n")}\n`;
}
