/** The files outside the store that programs take for granted (field notes, images §5), written as tar entries by us. */
import type { StorePath } from '../base/brand.ts';
import type { LiteralEntry } from '../oci/layer-recipe.ts';
import type { Closure } from '../store/closure.ts';
import { GROUP_ROOT, NSSWITCH, passwdFiles, PROTOCOLS, SERVICES } from './etc-files.ts';
import type { ImageUser } from './image-user.ts';
import { isPlainFile, probeFile } from './store-probe.ts';

export interface RootFilesystemInput {
  readonly closure: Closure;
  /** Nix system, `x86_64-linux`. */
  readonly system: string;
  readonly user: ImageUser;
  /** Directories that the user may write to, created where they are missing. */
  readonly writable: readonly string[];
  /** Absolute path → content; these win over Kiln's own. */
  readonly files: Readonly<Record<string, string>>;
  /** A path of the closure with certificates: a file, or a tree with `etc/ssl/certs/ca-bundle.crt`. */
  readonly caBundle?: StorePath;
  readonly physicalRoot: string;
  /** On top of another image: only what the settings ask for, so that its own files stay. */
  readonly onBase: boolean;
  /** Link `/bin/sh` where the closure has a shell. */
  readonly shell: boolean;
}

export interface RootFilesystem {
  /** Sorted by path, with every parent directory. */
  readonly entries: readonly LiteralEntry[];
  /** Environment variables that lead to what was found. */
  readonly env: Readonly<Record<string, string>>;
}

const CA_PATHS = [
  '/etc/ssl/certs/ca-bundle.crt',
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
];

/** Loaders that programs from elsewhere name as their interpreter. */
const LOADERS: Readonly<Record<string, readonly string[]>> = {
  'x86_64-linux': ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-musl-x86_64.so.1'],
  'aarch64-linux': ['/lib/ld-linux-aarch64.so.1', '/lib/ld-musl-aarch64.so.1'],
  'armv7l-linux': ['/lib/ld-linux-armhf.so.3', '/lib/ld-musl-armhf.so.1'],
  'i686-linux': ['/lib/ld-linux.so.2', '/lib/ld-musl-i386.so.1'],
  'riscv64-linux': ['/lib/ld-linux-riscv64-lp64d.so.1', '/lib/ld-musl-riscv64.so.1'],
};

export function rootFilesystem(input: RootFilesystemInput): RootFilesystem {
  const found = new EntrySet();
  const env: Record<string, string> = {};
  if (!input.onBase) {
    addSystemFolders(found);
    for (const [path, content] of Object.entries(passwdFiles(input.user))) found.file(path, content);
    found.file('/etc/nsswitch.conf', NSSWITCH);
    found.file('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
    found.file('/etc/protocols', PROTOCOLS);
    found.file('/etc/services', SERVICES);
    Object.assign(env, addFromClosure(found, input));
  }
  found.folder(input.user.home, 0o775, input.user.uid, GROUP_ROOT);
  // Group root may write too: hardened clusters run images as any user of that group.
  for (const path of input.writable)
    found.folder(path, path === '/tmp' ? 0o1777 : 0o775, input.user.uid, GROUP_ROOT);
  for (const [path, content] of Object.entries(input.files)) {
    found.file(path, content, content.startsWith('#!') ? 0o755 : 0o644);
  }
  return { entries: found.withParents(), env };
}

function addSystemFolders(found: EntrySet): void {
  for (const path of ['/bin', '/dev', '/etc', '/home', '/proc', '/run', '/sys', '/usr', '/usr/bin', '/var'])
    found.folder(path);
  found.folder('/root', 0o700);
  found.folder('/tmp', 0o1777);
  found.folder('/var/tmp', 0o1777);
  found.folder('/var/empty', 0o555);
  found.link('/var/run', '/run');
}

function addFromClosure(found: EntrySet, input: RootFilesystemInput): Record<string, string> {
  const env: Record<string, string> = {};
  const probe = (file: string, preferred: readonly RegExp[] = []): string | undefined =>
    probeFile(input.closure, file, input.physicalRoot, preferred);
  const link = (path: string, target: string | undefined): void => {
    if (target !== undefined) found.link(path, target);
  };
  if (input.shell) link('/bin/sh', probe('bin/sh', [/^bash/, /^dash/, /^busybox/]));
  link('/usr/bin/env', probe('bin/env', [/^coreutils/, /^uutils/, /^busybox/]));
  const certificates = certificateFile(input, probe);
  if (certificates !== undefined) {
    for (const path of CA_PATHS) found.link(path, certificates);
    env['SSL_CERT_FILE'] = certificates;
    env['NIX_SSL_CERT_FILE'] = certificates;
  }
  for (const loader of LOADERS[input.system] ?? []) {
    link(loader, probe(`lib/${loader.slice(loader.lastIndexOf('/') + 1)}`, [/^glibc/, /^musl/]));
  }
  const zones = probe('share/zoneinfo', [/^tzdata/]);
  if (zones !== undefined) {
    found.link('/usr/share/zoneinfo', zones);
    found.link('/etc/localtime', `${zones}/UTC`);
    env['TZDIR'] = zones;
  }
  const locales = probe('lib/locale/locale-archive', [/^glibc-locales/]);
  if (locales !== undefined) env['LOCALE_ARCHIVE'] = locales;
  return env;
}

function certificateFile(
  input: RootFilesystemInput,
  probe: (file: string, preferred: readonly RegExp[]) => string | undefined,
): string | undefined {
  if (input.caBundle !== undefined && isPlainFile(input.caBundle, input.physicalRoot)) return input.caBundle;
  if (input.caBundle !== undefined) return `${input.caBundle}/etc/ssl/certs/ca-bundle.crt`;
  const preferred = [/cacert/, /ca-certificates/];
  return (
    probe('etc/ssl/certs/ca-bundle.crt', preferred) ?? probe('etc/ssl/certs/ca-certificates.crt', preferred)
  );
}

/** Entries by path; the last one wins. */
class EntrySet {
  readonly #entries = new Map<string, LiteralEntry>();

  folder(path: string, mode = 0o755, uid = 0, gid = 0): void {
    this.#entries.set(path, { type: 'directory', path, mode, uid, gid });
  }

  file(path: string, content: string, mode = 0o644): void {
    const contentBase64 = Buffer.from(content).toString('base64');
    this.#entries.set(path, { type: 'file', path, mode, uid: 0, gid: 0, contentBase64 });
  }

  link(path: string, target: string): void {
    this.#entries.set(path, { type: 'symlink', path, target });
  }

  withParents(): LiteralEntry[] {
    for (const path of this.#entries.keys()) {
      for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
        const parent = path.slice(0, end);
        if (!this.#entries.has(parent)) this.folder(parent);
      }
    }
    return [...this.#entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }
}
