import type { ErrorCode } from '../../core/index.ts';
import type { Fault } from '../../http/faults.ts';

/** What only this contract refuses. */
export type UserSessionFault = 'pair_incomplete' | 'cookie_mode_off' | 'foreign_account' | 'foreign_site';

export type UserSessionWord = ErrorCode | Fault | UserSessionFault;

export type UserSessionDetail = {
  readonly field?: string;
  readonly allow?: string;
  readonly retryAfterSeconds?: number;
};

type Row = {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503;
  readonly message: string | ((detail: UserSessionDetail) => string);
};

/** The `error` member: the reason phrase of the status. */
export const reasonPhrases: Readonly<Record<Row['status'], string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

const notSignedIn = { status: 401, message: 'You are not signed in.' } as const;
const loginRefused = { status: 401, message: 'The credentials are not valid.' } as const;
const notHere = { status: 404, message: 'There is nothing at this address.' } as const;
const badRequest = { status: 400, message: 'The request is not valid.' } as const;
const busy = { status: 503, message: 'Try again later.' } as const;
const internal = { status: 500, message: 'Something went wrong on our side.' } as const;
const badField = {
  status: 400,
  message: (detail: UserSessionDetail) => `${detail.field ?? 'body'} is not valid.`,
} as const;

/** Section 7 of the contract. The rows of words that no operation of this door can meet say what a caller would be told. */
export const errorTable = {
  bad_json: { status: 400, message: 'The request body must be a JSON object.' },
  pair_incomplete: { status: 400, message: 'Send email and password, or apiKey and apiSecret.' },
  input_invalid: badField,
  cookie_mode_off: { status: 400, message: 'Cookie sessions are not enabled.' },
  repeated_header: badRequest,
  bad_host: badRequest,
  credential_missing: notSignedIn,
  session_invalid: notSignedIn,
  api_key_invalid: loginRefused,
  credentials_differ: notSignedIn,
  login_refused: loginRefused,
  foreign_account: { status: 403, message: 'This account is not available to you.' },
  step_due: { status: 403, message: 'Sign-in must be completed elsewhere.' },
  foreign_site: { status: 403, message: 'This request came from another site.' },
  access_denied: { status: 403, message: 'This account is not available to you.' },
  not_found: notHere,
  user_not_found: notHere,
  method_not_allowed: { status: 405, message: 'Use one of the methods in the Allow header.' },
  body_too_large: { status: 413, message: 'The request body is too large.' },
  unsupported_media_type: { status: 415, message: 'Send the body as application/json in UTF-8.' },
  throttled: { status: 429, message: 'Try again later.' },
  current_password_wrong: loginRefused,
  login_taken: badField,
  email_taken: badField,
  internal,
  unavailable: busy,
  stopping: busy,
  too_slow: busy,
} satisfies Record<UserSessionWord, Row>;

/** Thrown by this door's own operations for what only this contract refuses. */
export class UserSessionError extends Error {
  readonly word: UserSessionFault;

  constructor(word: UserSessionFault) {
    super(word);
    this.name = 'UserSessionError';
    this.word = word;
  }
}
