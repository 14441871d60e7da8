/** Values with units and addresses, as schemas that say what is wrong in one sentence. */
import { z } from 'zod';
import type { Bytes, Ms } from '../base/brand.ts';
import { isKilnError } from '../base/error.ts';
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../base/units.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `30s`, `5m`: read to milliseconds. */
export function duration(
  limits: { readonly min?: string; readonly max?: string } = {},
): z.ZodType<Ms, string> {
  return withUnit(parseDuration, formatDuration, limits);
}

/** Like {@link duration}, kept as it was written: for settings that are stored and hashed as text. */
export function durationText(): z.ZodType<string, string> {
  return z.string().superRefine((text, context) => {
    const read = duration({ min: '1ms' }).safeParse(text);
    for (const issue of read.error?.issues ?? [])
      context.addIssue({ code: 'custom', message: issue.message });
  });
}

/** `8MiB`, `50GB`: read to bytes. */
export function size(
  limits: { readonly min?: string; readonly max?: string } = {},
): z.ZodType<Bytes, string> {
  return withUnit(parseBytes, formatBytes, limits);
}

/** `127.0.0.1:5000`, `[::1]:5000`, `:5000` for every address of the machine. */
export function listenAddress(): z.ZodType<ListenAddress, string> {
  return z.string().transform((text, context) => {
    const match = /^(?:\[([\da-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/i.exec(text.trim());
    const port = Number(match?.[3]);
    if (match === null || port > 65535) {
      context.addIssue({
        code: 'custom',
        message: `"${text}" is not an address; write it like "127.0.0.1:5000"`,
      });
      return z.NEVER;
    }
    return { host: match[1] ?? (match[2] === '' ? '0.0.0.0' : (match[2] ?? '')), port };
  });
}

/** An http:// or https:// address without credentials and without a slash at the end. */
export function httpUrl(): z.ZodType<string, string> {
  return z.string().transform((text, context) => {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
      const message =
        url !== null && (url.username !== '' || url.password !== '')
          ? 'it must not hold a user name or password'
          : `"${text}" is not an http:// or https:// address`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
    return text.replace(/\/+$/, '');
  });
}

function withUnit<T extends number>(
  read: (text: string) => T,
  show: (value: number) => string,
  limits: { readonly min?: string; readonly max?: string },
): z.ZodType<T, string> {
  const min = limits.min === undefined ? 0 : read(limits.min);
  const max = limits.max === undefined ? Number.POSITIVE_INFINITY : read(limits.max);
  return z.string().transform((text, context) => {
    try {
      const value = read(text);
      if (value >= min && value <= max) return value;
      const message = value < min ? `it must be at least ${show(min)}` : `it must be at most ${show(max)}`;
      context.addIssue({ code: 'custom', message });
    } catch (error) {
      if (!isKilnError(error)) throw error;
      context.addIssue({ code: 'custom', message: `${error.message}. ${error.hint ?? ''}`.trim() });
    }
    return z.NEVER;
  });
}
