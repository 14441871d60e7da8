/** Nix's base 32: the digits are written from the last bits to the first, and leave out e, o, u and t. */
import { KilnError } from '../base/error.ts';

const ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz';
const VALUES = new Map(ALPHABET.split('').map((digit, value) => [digit, value]));

/** Characters that `byteCount` bytes take: 20 bytes 32, 32 bytes 52. */
export function nix32Length(byteCount: number): number {
  return byteCount === 0 ? 0 : Math.floor((byteCount * 8 - 1) / 5) + 1;
}

export function encodeNix32(data: Uint8Array): string {
  let text = '';
  for (let digit = nix32Length(data.length) - 1; digit >= 0; digit--) {
    const byte = Math.floor((digit * 5) / 8);
    const shift = (digit * 5) % 8;
    const low = (data[byte] ?? 0) >> shift;
    const high = (data[byte + 1] ?? 0) << (8 - shift);
    text += ALPHABET[(low | high) & 31];
  }
  return text;
}

/**
 * Reads exactly `byteCount` bytes. Bits beyond the last byte must be zero, so each value has one spelling.
 * @throws KilnError invalid-input
 */
export function decodeNix32(text: string, byteCount: number): Uint8Array {
  if (text.length !== nix32Length(byteCount)) throw invalid(text, `it has ${text.length} characters`);
  const data = new Uint8Array(byteCount);
  for (let digit = 0; digit < text.length; digit++) {
    const character = text.charAt(text.length - 1 - digit);
    const value = VALUES.get(character);
    if (value === undefined) throw invalid(text, `${JSON.stringify(character)} is not one of its digits`);
    const byte = Math.floor((digit * 5) / 8);
    const shift = (digit * 5) % 8;
    data[byte] = (data[byte] ?? 0) | ((value << shift) & 0xff);
    const carry = value >> (8 - shift);
    if (byte + 1 < byteCount) data[byte + 1] = carry;
    else if (carry !== 0) throw invalid(text, 'its first digit is too large');
  }
  return data;
}

function invalid(text: string, reason: string): KilnError {
  return new KilnError('invalid-input', `${JSON.stringify(text.slice(0, 120))} is not nix32: ${reason}`);
}
