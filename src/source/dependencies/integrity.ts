/** Subresource integrity as npm writes it: `sha512-<base64>`, several separated by spaces. */
import { createHash, timingSafeEqual } from 'node:crypto';

const STRENGTH = ['sha512', 'sha384', 'sha256', 'sha1'];

/** The hashes of the strongest algorithm in `text`; one of them has to match. */
export function strongestIntegrity(
  text: string,
): readonly { readonly algorithm: string; readonly digest: Buffer }[] {
  const parsed = text.split(/\s+/).flatMap((part) => {
    const match = /^(sha\d+)-([A-Za-z0-9+/]+={0,2})(\?.*)?$/.exec(part);
    return match === null
      ? []
      : [{ algorithm: match[1] ?? '', digest: Buffer.from(match[2] ?? '', 'base64') }];
  });
  const algorithm = STRENGTH.find((name) => parsed.some((entry) => entry.algorithm === name));
  return parsed.filter((entry) => entry.algorithm === algorithm);
}

export function matchesIntegrity(content: Buffer, text: string): boolean {
  return strongestIntegrity(text).some(({ algorithm, digest }) => {
    const actual = createHash(algorithm).update(content).digest();
    return actual.length === digest.length && timingSafeEqual(actual, digest);
  });
}

export function sha512Integrity(content: Buffer): string {
  return `sha512-${createHash('sha512').update(content).digest('base64')}`;
}
