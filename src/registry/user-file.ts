/** Users of the registry in a file: one per line, `NAME HASH SCOPE…`, `#` starts a comment. Read again when it changes. */
import { readFile, stat } from 'node:fs/promises';
import { createHmac, randomBytes } from 'node:crypto';
import { KilnError } from '../base/error.ts';
import { type AccessScope, parseAccessScope, scopesAllow } from './access-scope.ts';
import { hashPassword, isPasswordHash, verifyPassword } from './password-hash.ts';
import { Secret } from '../base/secret.ts';
import type { RegistryCredentials, RegistryIdentity } from './registry-access.ts';

interface RegistryUser {
  readonly name: string;
  readonly hash: string;
  readonly scopes: readonly AccessScope[];
}

/** Passwords that were right lately, so that not every request pays for scrypt. */
const MAX_REMEMBERED = 1000;

export class UserFile {
  readonly #path: string;
  #version = '';
  #users = new Map<string, RegistryUser>();
  readonly #key = randomBytes(32);
  readonly #right = new Set<string>();
  readonly #nobody = hashPassword(new Secret(randomBytes(16).toString('hex')));

  constructor(path: string) {
    this.#path = path;
  }

  /** Reads the file. @throws KilnError invalid-config with the line of the mistake */
  async load(): Promise<void> {
    const found = await stat(this.#path).catch((error: unknown) => {
      throw unreadable(this.#path, error);
    });
    const version = `${found.mtimeMs} ${found.size} ${found.ino}`;
    if (version === this.#version) return;
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      throw unreadable(this.#path, error);
    });
    this.#users = parseUsers(text, this.#path);
    this.#version = version;
    this.#right.clear();
  }

  /** Undefined for an unknown user and for a wrong password, after the same work. */
  async authenticate(credentials: RegistryCredentials): Promise<RegistryIdentity | undefined> {
    await this.load();
    const user = this.#users.get(credentials.username);
    const proof = createHmac('sha256', this.#key)
      .update(`${user?.hash ?? ''}\n${credentials.password.reveal()}`)
      .digest('hex');
    if (user === undefined || !this.#right.has(proof)) {
      const right = await verifyPassword(credentials.password, user?.hash ?? (await this.#nobody));
      if (!right || user === undefined) return undefined;
      if (this.#right.size >= MAX_REMEMBERED) this.#right.clear();
      this.#right.add(proof);
    }
    const { name, scopes } = user;
    return { name, allows: (repository, action) => scopesAllow(scopes, repository, action) };
  }
}

function parseUsers(text: string, path: string): Map<string, RegistryUser> {
  const users = new Map<string, RegistryUser>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line
      .replace(/(?:^|\s)#.*$/, '')
      .trim()
      .split(/\s+/);
    const [name = '', hash = '', ...scopes] = words;
    if (name === '') continue;
    const where = `${path}:${index + 1}`;
    if (!isPasswordHash(hash) || name.includes(':')) throw badLine(where, 'expected NAME HASH SCOPE…');
    if (users.has(name)) throw badLine(where, `${name} is there twice`);
    try {
      users.set(name, { name, hash, scopes: scopes.map(parseAccessScope) });
    } catch (error) {
      throw badLine(where, error instanceof Error ? error.message : String(error));
    }
  }
  return users;
}

function badLine(where: string, message: string): KilnError {
  return new KilnError('invalid-config', `The registry's list of users cannot be used: ${message}`, {
    where,
    hint: 'Make a line with `kiln token user NAME --scope …`, which asks for the password.',
  });
}

function unreadable(path: string, cause: unknown): KilnError {
  return new KilnError('invalid-config', 'The registry’s list of users cannot be read', {
    where: path,
    hint: 'Check registry.usersFile and the permissions of the file.',
    cause,
  });
}
