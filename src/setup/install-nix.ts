/** Nix from Debian's packages in a private prefix, proven by a sandboxed build before it counts. */
import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked, runProcess, type ProcessResult } from '../process/run-process.ts';
import { installPrefix, type SetupRun } from './debian-prefix.ts';
import { findNix, NIX_PREFIX, nixPlaces, OLDEST_NIX, prefixInstallation } from './find-nix.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import { demandPermission } from './install-permission.ts';
import { prepareNixFolder, type NixFolder } from './nix-folder.ts';
import type { Environment } from './kiln-home.ts';

/**
 * The Nix to use; installed first if there is none. An installed prefix takes about 10 s and 130 MiB.
 * @throws KilnError tool-missing, dependency-fetch, cancelled
 */
export async function ensureNix(run: SetupRun = {}): Promise<NixInstallation> {
  return (await findNix(run)) ?? (await installNix(run));
}

/** Installs Nix below `KILN_HOME` whether or not the machine has one. @throws KilnError */
export async function installNix(run: SetupRun = {}): Promise<NixInstallation> {
  const env = run.env ?? process.env;
  demandPermission(
    'Nix',
    `Install Nix ${OLDEST_NIX} or newer (on Debian 13: \`apt-get install nix-bin\`), or start Kiln without KILN_NO_INSTALL.`,
    env,
    `looked for nix ${OLDEST_NIX} or newer in ${nixPlaces(env).join(', ')}`,
  );
  const folder = await prepareNixFolder(run);
  const prefix = await installPrefix(
    {
      ...NIX_PREFIX,
      title: 'Nix',
      main: 'nix-bin',
      packages: ['patchelf', 'busybox-static'],
      complete: (directory, inner) => completeNix(directory, folder, inner),
    },
    run,
  );
  return prefixInstallation(prefix, env);
}

async function completeNix(directory: string, folder: NixFolder, run: SetupRun): Promise<void> {
  const env = run.env ?? process.env;
  const { binDir, confDir = '', env: additions } = prefixInstallation({ directory, version: '0' }, env);
  await mkdir(binDir, { recursive: true });
  await mkdir(confDir, { recursive: true });
  const programs = (await readdir(join(directory, 'usr/bin'))).filter((name) => /^nix(-|$)/.test(name));
  for (const name of programs) await symlink('../../usr/bin/nix', join(binDir, name));
  await writeFile(join(confDir, 'nix.conf'), await nixConf(directory, env));
  run.onProgress?.('checking it with a sandboxed build');
  await selfTest(join(binDir, 'nix-build'), folder, { ...run, env: { ...env, ...additions } });
}

/** Nix reads the user's own file after this one, so what it says holds. */
async function nixConf(directory: string, env: Environment): Promise<string> {
  const userFile = join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'nix/nix.conf');
  const configured = (await isReadable('/etc/nix/nix.conf')) || (await isReadable(userFile));
  return [
    '# Written by Kiln. Your own settings belong into ~/.config/nix/nix.conf or /etc/nix/nix.conf.',
    'sandbox = true',
    '# Without this, Nix builds outside the sandbox, silently, where it cannot make one.',
    'sandbox-fallback = false',
    `sandbox-paths = /bin/sh=${join(directory, 'usr/bin/busybox')}`,
    'build-users-group =',
    'experimental-features = nix-command flakes',
    'max-jobs = auto',
    ...(configured ? [] : ['substituters =']),
    '!include /etc/nix/nix.conf',
    '',
  ].join('\n');
}

/** Builds a derivation that looks for a file of the host: it is there only if the sandbox is not. */
async function selfTest(nixBuild: string, folder: NixFolder, run: SetupRun): Promise<void> {
  const { env, signal } = run;
  const nix = nixBuild.replace(/-build$/, '');
  await runChecked(nix, ['--version'], { env, signal, deadlineMs: 60_000, describe: doesNotRun });
  const script = 'test ! -e /etc/os-release && echo "$salt" > "$out"';
  const expression = `derivation {
    name = "kiln-setup-check";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ${JSON.stringify(script).replaceAll('$', '\\$')} ];
    salt = "${randomBytes(8).toString('hex')}";
  }`;
  const built = await runProcess(nixBuild, ['--no-out-link', '--expr', expression], {
    env,
    signal,
    deadlineMs: 120_000,
  });
  if (built.exitCode !== 0) throw folder === 'daemon' ? daemonRefuses(built) : cannotBuild(built);
  const path = built.stdout.trim();
  await runProcess(nix, ['store', 'delete', path], { env, signal }); // tidying up; if it fails, the next collection does it
}

function doesNotRun({ stderr }: ProcessResult): KilnError {
  return new KilnError('tool-missing', 'the Nix from Debian does not run on this machine', {
    where: stderr.trim().slice(0, 1000),
    hint: `Install Nix ${OLDEST_NIX} or newer by other means and put it on PATH.`,
  });
}

function daemonRefuses({ stderr }: ProcessResult): KilnError {
  return new KilnError('tool-missing', "this machine's Nix daemon did not build for Kiln", {
    where: lastLines(stderr),
    hint: 'Put the Nix that belongs to the daemon on PATH, or ask its administrator for access.',
  });
}

function cannotBuild({ stderr }: ProcessResult): KilnError {
  if (/namespace|unshare|clone|mount|sandbox|pivot_root|uid_map|Operation not permitted/i.test(stderr)) {
    return new KilnError('tool-missing', 'this machine does not let Nix make a build sandbox', {
      where: lastLines(stderr),
      hint:
        'Builds are isolated with user and mount namespaces. Allow them: `sysctl -w kernel.unprivileged_userns_clone=1 ' +
        'user.max_user_namespaces=15000`; in a container, start it with `--privileged` or `--security-opt seccomp=unconfined ' +
        '--cap-add SYS_ADMIN`. To build without isolation, knowing that builds then see this machine, write `sandbox = false` ' +
        'into ~/.config/nix/nix.conf.',
    });
  }
  return new KilnError('tool-missing', 'the installed Nix could not build its test derivation', {
    where: lastLines(stderr),
  });
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-8).join('\n');
}

async function isReadable(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
