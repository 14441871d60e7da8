/** Values that must not be printed, and the removal of them from text that will be. */
import { inspect } from 'node:util';

const MASK = '[secret]';

/** A token, key or password. Printing, serialising or concatenating it gives `[secret]`; `reveal()` gives the value. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}

/** Every form in which a secret could come back from a tool: as it is, URL-encoded, and as Basic credentials. */
function formsOf(secret: string): string[] {
  return [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, '')];
}

/** Replaces each secret (4 characters or longer) and any `user:password@` of a URL in `text`. */
export function redact(text: string, secrets: readonly (Secret | string | undefined)[] = []): string {
  let result = text;
  for (const secret of secrets) {
    const value = secret instanceof Secret ? secret.reveal() : secret;
    if (value === undefined || value.length < 4) continue;
    for (const form of formsOf(value)) result = result.replaceAll(form, MASK);
  }
  return result.replace(/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@'"]{1,4096}@/gi, `$1${MASK}@`);
}
