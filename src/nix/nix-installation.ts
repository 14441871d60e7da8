/** Which Nix is used, and how its programs are started. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked } from '../process/run-process.ts';

export interface NixInstallation {
  /** Folder of `nix`, `nix-instantiate`, `nix-store` … */
  readonly binDir: string;
  /** `2.34.8`. */
  readonly version: string;
  /** Folder of the `nix.conf` that Kiln wrote; absent for the machine's own Nix. */
  readonly confDir?: string;
  /** To be added to the environment of child processes: PATH with `binDir` in it, NIX_CONF_DIR, certificates. */
  readonly env: Readonly<Record<string, string>>;
}

/** What Nix may inherit. `NIX_PATH` is left out: what `<nixpkgs>` means is stated by each build. */
const INHERITED =
  /^(PATH|HOME|USER|LOGNAME|TMPDIR|TERM|XDG_.*|SSL_CERT_FILE|SSH_AUTH_SOCK|[a-z]+_proxy|[A-Z]+_PROXY|NIX_(?!PATH$|CONFIG$).*)$/;

/** The complete environment for one of Nix's programs. */
export function nixEnvironment(nix: NixInstallation): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && INHERITED.test(name),
  );
  return {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    ...nix.env,
    ...(nix.confDir === undefined ? {} : { NIX_CONF_DIR: nix.confDir }),
    // Messages are parsed; their language must not depend on the machine.
    LC_ALL: 'C',
    NO_COLOR: '1',
  };
}

/** The Nix found on `PATH`, whatever its version. @throws KilnError tool-missing */
export async function nixOnPath(signal?: AbortSignal): Promise<NixInstallation> {
  for (const binDir of (process.env['PATH'] ?? '').split(delimiter)) {
    if (binDir === '' || !(await isExecutable(join(binDir, 'nix-instantiate')))) continue;
    const confDir = process.env['NIX_CONF_DIR'];
    const version = await nixVersion(binDir, signal);
    return { binDir, version, env: {}, ...(confDir === undefined ? {} : { confDir }) };
  }
  throw new KilnError('tool-missing', 'Nix is not on PATH', {
    hint: 'Run `kiln doctor` to see what is missing, or install Nix 2.24 or newer.',
  });
}

/** The version that `<binDir>/nix --version` states. @throws KilnError tool-missing, nix-failed */
export async function nixVersion(binDir: string, signal?: AbortSignal): Promise<string> {
  const { stdout } = await runChecked(join(binDir, 'nix'), ['--version'], {
    deadlineMs: 30_000,
    ...(signal === undefined ? {} : { signal }),
  });
  const version = /(\d+\.\d+(?:\.\d+)?\S*)\s*$/.exec(stdout)?.[1];
  if (version !== undefined) return version;
  throw new KilnError('nix-failed', 'Nix does not state its version', { where: stdout.slice(0, 200) });
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
