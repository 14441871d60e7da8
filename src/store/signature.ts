/** Ed25519 signatures with keys in Nix's formats: `name:base64`, 64 bytes secret (seed and public key), 32 public. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { KilnError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';

/** A secret key, ready to sign; the key itself cannot be printed. */
export interface SigningKey {
  readonly name: string;
  /** `name:base64`, to be given to clients (`trusted-public-keys`). */
  readonly publicKey: string;
  /** @returns `name:base64` */
  sign(text: string): string;
}

export interface PublicKey {
  readonly name: string;
  readonly key: KeyObject;
}

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** Makes a key pair; the secret is what `nix key generate-secret` would print. @throws KilnError invalid-name */
export function generateSigningKey(name: string): { readonly secretKey: Secret; readonly publicKey: string } {
  checkKeyName(name);
  const pair = generateKeyPairSync('ed25519');
  const seed = pair.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
  const publicBytes = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
  return {
    secretKey: new Secret(`${name}:${Buffer.concat([seed, publicBytes]).toString('base64')}`),
    publicKey: `${name}:${publicBytes.toString('base64')}`,
  };
}

/** @throws KilnError invalid-input; the message does not show the key */
export function parseSigningKey(secret: Secret): SigningKey {
  const { name, bytes } = parseNamed(secret.reveal().trim(), 64, 'secret key');
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8, bytes.subarray(0, 32)]),
    format: 'der',
    type: 'pkcs8',
  });
  const derived = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
  if (!derived.equals(bytes.subarray(32)))
    throw invalidKey('secret key', 'its two halves do not belong together');
  return {
    name,
    publicKey: `${name}:${derived.toString('base64')}`,
    sign: (text) => `${name}:${sign(null, Buffer.from(text), key).toString('base64')}`,
  };
}

/** @throws KilnError invalid-input */
export function parsePublicKey(text: string): PublicKey {
  const { name, bytes } = parseNamed(text.trim(), 32, 'public key');
  return { name, key: createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' }) };
}

/** The key of `keys` that made `signature` over `text`, or `undefined`. Malformed signatures are none. */
export function verifySignature(
  text: string,
  signature: string,
  keys: readonly PublicKey[],
): PublicKey | undefined {
  const separator = signature.indexOf(':');
  const bytes = decodeBase64(signature.slice(separator + 1));
  if (separator < 1 || bytes?.length !== 64) return undefined;
  const name = signature.slice(0, separator);
  return keys.find((key) => key.name === name && verify(null, Buffer.from(text), key.key, bytes));
}

/** The name of a signature or key in Nix's format; `undefined` if it has none. */
export function keyNameOf(text: string): string | undefined {
  const separator = text.indexOf(':');
  return separator < 1 ? undefined : text.slice(0, separator);
}

/** True for `name:base64` with 64 bytes; says nothing about who signed. */
export function isSignature(text: string): boolean {
  return /^[^\s:]{1,255}:[A-Za-z0-9+/]{86}==$/.test(text);
}

function checkKeyName(name: string): void {
  if (/^[^\s:]{1,255}$/.test(name)) return;
  throw new KilnError('invalid-name', `${JSON.stringify(name.slice(0, 80))} cannot name a signing key`, {
    hint: 'Use a name without colons and white space, such as `cache.example.org-1`.',
  });
}

function parseNamed(
  text: string,
  size: number,
  what: string,
): { readonly name: string; readonly bytes: Buffer } {
  const separator = text.indexOf(':');
  const name = text.slice(0, Math.max(0, separator));
  if (!/^[^\s:]{1,255}$/.test(name)) throw invalidKey(what, 'no name and colon stand before it');
  const bytes = decodeBase64(text.slice(separator + 1));
  if (bytes?.length !== size) throw invalidKey(what, `it is not ${size} bytes in base64`);
  return { name, bytes };
}

function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function invalidKey(what: string, reason: string): KilnError {
  return new KilnError('invalid-input', `This is not a ${what} in Nix's format: ${reason}`, {
    hint: 'A key looks like `cache.example.org-1:` and base64; make one with `kiln cache key`.',
  });
}
