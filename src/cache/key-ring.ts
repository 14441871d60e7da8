/** The keys that the cache signs with: one file each in Nix's own format, readable by their owner alone. */
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { generateSigningKey, parseSigningKey, type SigningKey } from '../store/signature.ts';

export interface KeyRing {
  /** Every active key, by name. A key whose file others may read is an error, not a key. @throws KilnError invalid-config */
  keys(): Promise<readonly SigningKey[]>;
  /** @throws KilnError conflict (the name is taken), invalid-name */
  generate(name: string): Promise<SigningKey>;
  /** @param secret `name:base64` as `nix key generate-secret` prints it. @throws KilnError invalid-input, conflict */
  add(secret: Secret): Promise<SigningKey>;
  /** Makes the successor of `name` (default: of the only key): `…-1` → `…-2`. Both sign from then on. */
  rotate(name?: string): Promise<{ readonly old: SigningKey; readonly key: SigningKey }>;
  /** Stops signing with a key; its file is kept in `retired`. @throws KilnError not-found */
  retire(name: string): Promise<void>;
}

const SUFFIX = '.secret';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** Milliseconds for which the folder is not looked at again. */
const FRESH_MS = 1000;

/** @param directory made with the first key */
export function openKeyRing(directory: string): KeyRing {
  let known: { readonly keys: readonly SigningKey[]; readonly state: string; checkedAt: number } | undefined;
  const fileOf = (name: string): string => join(directory, `${encodeURIComponent(name)}${SUFFIX}`);
  const keys = async (): Promise<readonly SigningKey[]> => {
    const now = performance.now();
    if (known !== undefined && now - known.checkedAt < FRESH_MS) return known.keys;
    const before = known;
    try {
      const files = await keyFiles(directory);
      const state = files.map((file) => `${file.path} ${file.changed}`).join('\n');
      if (known?.state === state) known.checkedAt = now;
      else known = { keys: await Promise.all(files.map(readKey)), state, checkedAt: now };
      return known.keys;
    } catch (error) {
      // A server goes on with the keys that it has; `kiln cache key show` and the next start tell what is wrong.
      if (before === undefined) throw error;
      before.checkedAt = now;
      return before.keys;
    }
  };
  const add = async (secret: Secret): Promise<SigningKey> => {
    const key = parseSigningKey(secret);
    await writeKey(directory, fileOf(key.name), key, secret);
    known = undefined;
    return key;
  };
  const generate = async (name: string): Promise<SigningKey> => await add(generateSigningKey(name).secretKey);
  return {
    keys,
    add,
    generate,
    async rotate(name) {
      known = undefined;
      const old = chooseKey(await keys(), name);
      const taken = new Set((await keys()).map((key) => key.name));
      let next = successorOf(old.name);
      while (taken.has(next)) next = successorOf(next);
      return { old, key: await generate(next) };
    },
    async retire(name) {
      known = undefined;
      const key = chooseKey(await keys(), name);
      await mkdir(join(directory, 'retired'), { recursive: true, mode: FOLDER_MODE });
      await rename(fileOf(key.name), join(directory, 'retired', `${encodeURIComponent(key.name)}${SUFFIX}`));
      known = undefined;
    },
  };
}

interface KeyFile {
  readonly path: string;
  readonly changed: string;
}

async function keyFiles(directory: string): Promise<KeyFile[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new KilnError('invalid-config', 'The folder of the signing keys cannot be read', {
      where: directory,
      cause: error,
    });
  });
  const paths = names.filter((name) => name.endsWith(SUFFIX)).sort();
  return await Promise.all(
    paths.map(async (name) => {
      const path = join(directory, name);
      const found = await stat(path);
      if ((found.mode & 0o077) !== 0)
        throw new KilnError('invalid-config', 'A signing key can be read by others than its owner', {
          where: path,
          hint: `Make it private (chmod 600 ${path}). If others could have read it, replace it: kiln cache key rotate.`,
        });
      return { path, changed: `${found.mtimeMs} ${found.ino} ${found.size}` };
    }),
  );
}

async function readKey(file: KeyFile): Promise<SigningKey> {
  try {
    return parseSigningKey(new Secret(await readFile(file.path, 'utf8')));
  } catch (cause) {
    throw new KilnError('invalid-config', 'A file among the signing keys holds no signing key', {
      where: file.path,
      hint: 'Remove it, or import the key again with `kiln cache key import`.',
      cause,
    });
  }
}

async function writeKey(directory: string, file: string, key: SigningKey, secret: Secret): Promise<void> {
  await mkdir(directory, { recursive: true, mode: FOLDER_MODE });
  await chmod(directory, FOLDER_MODE);
  try {
    // The flag refuses to overwrite: a lost signing key cannot be made again.
    await writeFile(file, `${secret.reveal().trim()}\n`, { flag: 'wx', mode: FILE_MODE, flush: true });
  } catch (cause) {
    if (systemErrorCode(cause) !== 'EEXIST') {
      await rm(file, { force: true });
      throw cause;
    }
    throw new KilnError('conflict', `There is a signing key ${key.name} already`, {
      where: file,
      hint: 'Take another name, or make its successor with `kiln cache key rotate`.',
      cause,
    });
  }
}

function chooseKey(keys: readonly SigningKey[], name: string | undefined): SigningKey {
  const candidates = name === undefined ? keys : keys.filter((key) => key.name === name);
  const [key] = candidates;
  if (key !== undefined && candidates.length === 1) return key;
  const names = keys.map((each) => each.name).join(', ');
  if (key !== undefined)
    throw new KilnError('usage', 'There are several signing keys', { hint: `Name one of: ${names}.` });
  throw new KilnError(
    'not-found',
    name === undefined ? 'There is no signing key' : `There is no signing key ${name}`,
    { hint: names === '' ? 'Make one: kiln cache key generate NAME' : `There are: ${names}.` },
  );
}

/** `cache-1` → `cache-2`; `cache` → `cache-2`. */
function successorOf(name: string): string {
  const match = /^(.*)-(\d{1,9})$/.exec(name);
  return match === null ? `${name}-2` : `${match[1]}-${Number(match[2]) + 1}`;
}
