import type { ErrorCode, ErrorDetail } from '../../core/index.ts';
import type { Fault, FaultDetail } from '../../http/faults.ts';

/** What only this contract refuses. */
export type EcgridFault = 'stored_key_asked';

export type EcgridWord = ErrorCode | Fault | EcgridFault;
export type EcgridDetail = ErrorDetail & FaultDetail;

type Row = {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503;
  readonly errorCode:
    | 'InvalidSession'
    | 'InvalidAPIKey'
    | 'AccessDenied'
    | 'InvalidParameter'
    | 'DuplicateObject'
    | 'ObjectNotFound'
    | 'RateLimitExceeded'
    | 'InternalError'
    | 'ServiceUnavailable';
  readonly message: string | ((detail: EcgridDetail) => string);
};

const sessionRefused = 'The session token is not valid or has expired.';
const unavailable = {
  status: 503,
  errorCode: 'ServiceUnavailable',
  message: 'Service unavailable. Retry later.',
} as const;
const internal = { status: 500, errorCode: 'InternalError', message: 'Internal error.' } as const;

/** Section 7 of the contract: one row for everything that can go wrong. */
export const errorTable = {
  credential_missing: { status: 401, errorCode: 'InvalidSession', message: 'Authentication is required.' },
  session_invalid: { status: 401, errorCode: 'InvalidSession', message: sessionRefused },
  api_key_invalid: {
    status: 401,
    errorCode: 'InvalidAPIKey',
    message: 'The API key is not valid or has been revoked.',
  },
  credentials_differ: {
    status: 401,
    errorCode: 'InvalidSession',
    message: 'The credentials do not belong to the same user.',
  },
  login_refused: { status: 401, errorCode: 'InvalidSession', message: 'Invalid login or password.' },
  throttled: { status: 429, errorCode: 'RateLimitExceeded', message: 'Too many requests. Retry later.' },
  step_due: { status: 403, errorCode: 'AccessDenied', message: 'A further sign-in step is required.' },
  stored_key_asked: {
    status: 403,
    errorCode: 'AccessDenied',
    message: 'API keys are stored as digests and cannot be shown. Generate a new key.',
  },
  access_denied: { status: 403, errorCode: 'AccessDenied', message: 'Access denied.' },
  current_password_wrong: { status: 400, errorCode: 'InvalidParameter', message: 'currentPassword is not correct.' },
  input_invalid: { status: 400, errorCode: 'InvalidParameter', message: fieldMessage },
  repeated_header: { status: 400, errorCode: 'InvalidParameter', message: headerMessage },
  bad_host: { status: 400, errorCode: 'InvalidParameter', message: 'Host must be sent once, as a host name.' },
  bad_json: { status: 400, errorCode: 'InvalidParameter', message: 'The request body is not valid JSON.' },
  login_taken: { status: 400, errorCode: 'DuplicateObject', message: 'login already exists.' },
  email_taken: { status: 400, errorCode: 'DuplicateObject', message: 'email already exists.' },
  not_found: { status: 404, errorCode: 'ObjectNotFound', message: 'Resource not found.' },
  user_not_found: { status: 404, errorCode: 'ObjectNotFound', message: 'User not found.' },
  method_not_allowed: { status: 405, errorCode: 'InvalidParameter', message: 'Method not allowed.' },
  body_too_large: { status: 413, errorCode: 'InvalidParameter', message: 'The request body is too large.' },
  unsupported_media_type: {
    status: 415,
    errorCode: 'InvalidParameter',
    message: 'The body must be application/json in UTF-8 without content coding.',
  },
  internal,
  unavailable,
  stopping: unavailable,
  too_slow: unavailable,
} satisfies Record<EcgridWord, Row>;

/** Thrown by this door's own operations for what only this contract refuses. */
export class EcgridError extends Error {
  readonly word: EcgridFault;

  constructor(word: EcgridFault) {
    super(word);
    this.name = 'EcgridError';
    this.word = word;
  }
}

/** The contract's names for what the core names in its own words. */
const fieldNames: Readonly<Record<string, string>> = { organizationId: 'networkId' };

function fieldMessage(detail: EcgridDetail): string {
  const field = detail.field ?? 'body';
  return `${fieldNames[field] ?? field} ${detail.reason ?? 'is not valid'}.`;
}

function headerMessage(detail: EcgridDetail): string {
  return `${detail.header ?? 'A header'} must not be sent more than once.`;
}
