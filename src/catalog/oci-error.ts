/** Error codes of the distribution specification ("Error Codes"), carried by KilnError so that edges can repeat them. */
import { type ErrorCode, isKilnError, KilnError, type KilnErrorOptions } from '../base/error.ts';

const CODES = {
  BLOB_UNKNOWN: 'not-found',
  BLOB_UPLOAD_INVALID: 'invalid-input',
  BLOB_UPLOAD_UNKNOWN: 'not-found',
  DIGEST_INVALID: 'invalid-input',
  MANIFEST_BLOB_UNKNOWN: 'not-found',
  MANIFEST_INVALID: 'invalid-input',
  MANIFEST_UNKNOWN: 'not-found',
  NAME_INVALID: 'invalid-name',
  NAME_UNKNOWN: 'not-found',
  SIZE_INVALID: 'invalid-input',
  UNAUTHORIZED: 'unauthorized',
  DENIED: 'forbidden',
  UNSUPPORTED: 'unsupported',
  TOOMANYREQUESTS: 'rate-limited',
} as const satisfies Record<string, ErrorCode>;

export type OciErrorCode = keyof typeof CODES;

export function ociError(code: OciErrorCode, message: string, options: KilnErrorOptions = {}): KilnError {
  return new KilnError(CODES[code], message, { ...options, fields: { ...options.fields, oci: code } });
}

/** The same failure under an error code of the specification; what is no KilnError passes through. */
export function withOciCode(error: unknown, code: OciErrorCode): unknown {
  if (!isKilnError(error) || ociCodeOf(error) !== undefined) return error;
  return new KilnError(error.code, error.message, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.where === undefined ? {} : { where: error.where }),
    cause: error,
    fields: { ...error.fields, oci: code },
  });
}

export function ociCodeOf(error: KilnError): OciErrorCode | undefined {
  const code = error.fields['oci'];
  return typeof code === 'string' && code in CODES ? (code as OciErrorCode) : undefined;
}
