import type { ErrorCode } from '../../core/index.ts';
import type { Fault } from '../../http/faults.ts';

/** What only this contract refuses. */
export type HcxFault = 'no_active_session' | 'not_an_object' | 'unsupported_auth_type';

export type HcxWord = ErrorCode | Fault | HcxFault;

export type HcxDetail = {
  readonly field?: string;
  readonly reason?: string;
  /** The `authType` that is not offered, made printable. */
  readonly authType?: string;
  readonly allow?: string;
  readonly retryAfterSeconds?: number;
};

/** Source: the `SessionErrorResponse` schema; 429 has no member of the closed list, so it carries none. */
export type HcxErrorCode =
  | 'BAD_REQUEST'
  | 'INVALID_CREDENTIALS'
  | 'NOT_ENOUGH_PRIVILEGES'
  | 'INVALID_SESSION_TOKEN'
  | 'INTERNAL_SERVER_ERROR';

type Row = {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503;
  readonly errorCode?: HcxErrorCode;
  readonly error: string | ((detail: HcxDetail) => string);
};

const noContext = {
  status: 401,
  errorCode: 'INVALID_SESSION_TOKEN',
  error: 'UserContext not found in SecurityContext',
} as const;
const wrongLogin = { status: 401, errorCode: 'INVALID_CREDENTIALS', error: 'Invalid username or password.' } as const;
const notAnObject = { status: 400, errorCode: 'BAD_REQUEST', error: 'Request body must be a JSON object' } as const;
const badRequest = { status: 400, errorCode: 'BAD_REQUEST', error: 'Bad request' } as const;
const notHere = { status: 404, errorCode: 'BAD_REQUEST', error: 'Unknown path' } as const;
const stepDue = {
  status: 403,
  errorCode: 'NOT_ENOUGH_PRIVILEGES',
  error: 'Sign-in must be completed elsewhere',
} as const;
const badField = {
  status: 400,
  errorCode: 'BAD_REQUEST',
  error: ({ field = 'body', reason = 'is not allowed' }: HcxDetail) => `${field}: ${reason}`,
} as const;
const busy = { status: 503, errorCode: 'INTERNAL_SERVER_ERROR', error: 'Service Unavailable' } as const;

/** Section 7 of the contract. The rows of words that no operation of this door can meet say what a caller would be told. */
export const errorTable = {
  credential_missing: noContext,
  session_invalid: noContext,
  api_key_invalid: noContext,
  credentials_differ: noContext,
  no_active_session: { status: 401, errorCode: 'INVALID_SESSION_TOKEN', error: 'No active session found' },
  login_refused: wrongLogin,
  throttled: { status: 429, error: 'Too many attempts' },
  step_due: stepDue,
  access_denied: stepDue,
  current_password_wrong: wrongLogin,
  input_invalid: badField,
  login_taken: badField,
  email_taken: badField,
  not_an_object: notAnObject,
  bad_json: notAnObject,
  unsupported_auth_type: {
    status: 400,
    errorCode: 'BAD_REQUEST',
    error: ({ authType = '' }) => `Unsupported authType: ${authType}`,
  },
  repeated_header: badRequest,
  bad_host: badRequest,
  not_found: notHere,
  user_not_found: notHere,
  method_not_allowed: { status: 405, errorCode: 'BAD_REQUEST', error: 'Method not allowed' },
  body_too_large: { status: 413, errorCode: 'BAD_REQUEST', error: 'Request body too large' },
  unsupported_media_type: { status: 415, errorCode: 'BAD_REQUEST', error: 'Unsupported media type' },
  internal: { status: 500, errorCode: 'INTERNAL_SERVER_ERROR', error: 'Internal Server Error' },
  unavailable: busy,
  stopping: busy,
  too_slow: busy,
} satisfies Record<HcxWord, Row>;

/** Thrown by this door's own operations for what only this contract refuses. */
export class HcxError extends Error {
  readonly word: HcxFault;
  readonly detail: HcxDetail;

  constructor(word: HcxFault, detail: HcxDetail = {}) {
    super(word);
    this.name = 'HcxError';
    this.word = word;
    this.detail = detail;
  }
}
