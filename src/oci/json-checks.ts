/** Reads untrusted JSON field by field; every complaint names the field. */
import { KilnError } from '../base/error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses at most `limit` bytes of UTF-8 JSON whose top is an object. @throws KilnError too-large, invalid-input */
export function parseJsonObject(bytes: Uint8Array, what: string, limit: number): JsonObject {
  if (bytes.length > limit) {
    throw new KilnError('too-large', `${what} has ${bytes.length} bytes; the limit is ${limit}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KilnError('invalid-input', `${what} is not JSON`, { cause });
  }
  return checkObject(value, what);
}

export function checkObject(value: unknown, field: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  return complain(field, 'an object');
}

export function checkArray(value: unknown, field: string, limit = 10_000): readonly unknown[] {
  if (!Array.isArray(value)) return complain(field, 'a list');
  if (value.length > limit) return complain(field, `a list of at most ${limit} members`);
  return value;
}

export function checkString(value: unknown, field: string): string {
  return typeof value === 'string' ? value : complain(field, 'a string');
}

export function checkOptionalString(value: unknown, field: string): string | undefined {
  return value === undefined || value === null ? undefined : checkString(value, field);
}

/** A size in bytes: an integer from 0 that a number holds exactly. */
export function checkSize(value: unknown, field: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : complain(field, 'a size in bytes');
}

export function checkStringMap(value: unknown, field: string): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  const object = checkObject(value, field);
  for (const [key, member] of Object.entries(object)) checkString(member, `${field}.${key}`);
  return object as Readonly<Record<string, string>>;
}

export function checkStringList(value: unknown, field: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  return checkArray(value, field).map((member, at) => checkString(member, `${field}[${at}]`));
}

function complain(field: string, wanted: string): never {
  throw new KilnError('invalid-input', `${field} must be ${wanted}`, { where: field });
}
