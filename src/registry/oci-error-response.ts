/** Error bodies of the distribution specification ("Error Codes"). */
import { type ErrorCode, isKilnError, type KilnError } from '../base/error.ts';
import { type OciErrorCode, ociCodeOf } from '../catalog/oci-error.ts';
import { clientErrorStatus, errorHeaders } from '../http/error-response.ts';

export interface OciErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly errors: readonly { code: string; message: string; detail?: unknown }[] };
}

/** What a failure without a code of its own is called. The specification has no code for a server's own troubles. */
const FALLBACK: Partial<Record<ErrorCode, OciErrorCode>> = {
  unauthorized: 'UNAUTHORIZED',
  forbidden: 'DENIED',
  'rate-limited': 'TOOMANYREQUESTS',
  'too-large': 'SIZE_INVALID',
  'range-not-satisfiable': 'BLOB_UPLOAD_INVALID',
  'invalid-name': 'NAME_INVALID',
  'store-path-missing': 'BLOB_UNKNOWN',
  'store-path-changed': 'BLOB_UNKNOWN',
  'not-found': 'BLOB_UNKNOWN',
};

export function ociErrorResponse(error: unknown): OciErrorResponse {
  if (isKilnError(error)) return kilnErrorResponse(error);
  const status = clientErrorStatus(error);
  const message =
    status !== undefined && error instanceof Error
      ? error.message
      : 'The registry failed; its log says more.';
  return { status: status ?? 500, headers: {}, body: { errors: [{ code: 'UNSUPPORTED', message }] } };
}

function kilnErrorResponse(error: KilnError): OciErrorResponse {
  const code = ociCodeOf(error) ?? FALLBACK[error.code] ?? 'UNSUPPORTED';
  // A layer whose store path went away is a blob that is not here any more; the client can do nothing about a conflict.
  const gone = error.code === 'store-path-missing' || error.code === 'store-path-changed';
  const detail = error.fields['detail'] ?? detailOf(error);
  return {
    status: gone ? 404 : statusOf(error),
    headers: errorHeaders(error.fields),
    body: { errors: [{ code, message: error.message, ...(detail === undefined ? {} : { detail }) }] },
  };
}

/** Some refusals have a status of their own beside their code. */
function statusOf(error: KilnError): number {
  const status = error.fields['status'];
  return typeof status === 'number' ? status : error.status;
}

function detailOf(error: KilnError): Record<string, string> | undefined {
  if (error.hint === undefined && error.where === undefined) return undefined;
  return {
    reason: error.code,
    ...(error.where === undefined ? {} : { where: error.where }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  };
}
