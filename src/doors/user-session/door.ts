import { type Core, nameFailure } from '../../core/index.ts';
import { type Soon, settle } from '../../soon.ts';
import { readSingle } from '../../http/body.ts';
import { type CorsRule, corsHeaders, preflightHeaders } from '../../http/cors.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { prepareAnswers } from '../../http/headers.ts';
import { remember } from '../../http/remember.ts';
import { endedCookie, type Presented, readCredential } from './credentials.ts';
import { errorTable, reasonPhrases, type UserSessionDetail, UserSessionError, type UserSessionWord } from './errors.ts';
import { type Operation, type Outcome, operations, type UserSessionSettings } from './operations.ts';

/** A refused request may come again this soon when the store or the hashing lane was the reason. */
const unavailableRetrySeconds = 2;
const nothingPresented: Presented = { credential: null, presented: false, byCookie: false };

/** The UserSession contract: who is signed in, in which accounts, with which roles and permissions. */
export function createUserSession(core: Core, settings: UserSessionSettings): Door {
  const cors: CorsRule = {
    origins: settings.corsOrigins,
    allowMethods: 'GET, HEAD, POST',
    allowHeaders: 'content-type, authorization, x-account-id',
  };
  return {
    name: 'user-session',
    owns: ['/auth/', '/api/'],
    routes: operations.flatMap((operation) => routesOf(core, settings, cors, operation)),
    answerFault: (fault, exchange, detail) => failure(cors, exchange, fault, detail, nothingPresented),
  };
}

/** One leading `/api` is dropped and one trailing slash is tolerated; nothing else is. */
function routesOf(core: Core, settings: UserSessionSettings, cors: CorsRule, operation: Operation): Route[] {
  const { method, path } = operation;
  const allow = method === 'GET' ? 'GET, HEAD, OPTIONS' : `${method}, OPTIONS`;
  return [path, `${path}/`, `/api${path}`, `/api${path}/`].flatMap((spelling): Route[] => [
    { method, path: spelling, answer: (exchange) => answerOperation(core, settings, cors, operation, exchange) },
    { method: 'OPTIONS', path: spelling, answer: (exchange) => answerPreflight(cors, allow, exchange) },
  ]);
}

function answerOperation(
  core: Core,
  settings: UserSessionSettings,
  cors: CorsRule,
  operation: Operation,
  exchange: Exchange,
): Soon<Response> {
  const { request, caller } = exchange;
  const isPublic = operation.access === 'public';
  const found = isPublic ? nothingPresented : readCredential(request, settings.cookieMode);
  const run = () => {
    readSingle(request, 'authorization');
    return operation.run({ core, settings, caller, request, found });
  };
  return settle(
    run,
    (outcome) => sendSuccess(cors, exchange, outcome),
    (error) => answerError(core, cors, exchange, found, error),
  );
}

const sendJson = prepareAnswers({ 'Content-Type': 'application/json; charset=utf-8', Vary: 'Origin' });
const sendEmpty = prepareAnswers({ Vary: 'Origin' });
const writeBody = remember(({ body }: Outcome) => JSON.stringify(body));

function sendSuccess(cors: CorsRule, exchange: Exchange, outcome: Outcome): Response {
  const headers = { ...corsHeaders(cors, exchange.request), ...setCookie(outcome.cookie) };
  return sendJson(exchange, 200, writeBody(outcome), headers);
}

function answerPreflight(cors: CorsRule, allow: string, exchange: Exchange): Response {
  return sendEmpty(exchange, 204, null, { Allow: allow, ...preflightHeaders(cors, exchange.request) });
}

function answerError(core: Core, cors: CorsRule, exchange: Exchange, found: Presented, error: unknown): Response {
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof UserSessionError) return failure(cors, exchange, error.word, {}, found);
  const { code, detail } = nameFailure(core, exchange.requestId, error);
  return failure(cors, exchange, code, detail, found);
}

function failure(
  cors: CorsRule,
  exchange: Exchange,
  word: UserSessionWord,
  detail: UserSessionDetail,
  found: Presented,
): Response {
  const { status, message } = errorTable[word];
  const text = typeof message === 'string' ? message : message(detail);
  const cookie = status === 401 && found.byCookie ? endedCookie : undefined;
  const headers = {
    ...corsHeaders(cors, exchange.request),
    ...failureHeaders(word, status, detail, found),
    ...setCookie(cookie),
  };
  const body = { error: reasonPhrases[status], status, message: text };
  return sendJson(exchange, status, JSON.stringify(body), headers);
}

function failureHeaders(
  word: UserSessionWord,
  status: number,
  detail: UserSessionDetail,
  found: Presented,
): Record<string, string> {
  const refused = word === 'session_invalid' && found.presented;
  const retryAfter = detail.retryAfterSeconds ?? unavailableRetrySeconds;
  return {
    ...(status === 401 && { 'WWW-Authenticate': `Bearer realm="Cardea"${refused ? ', error="invalid_token"' : ''}` }),
    ...((status === 429 || status === 503) && { 'Retry-After': String(retryAfter) }),
    ...(detail.allow !== undefined && { Allow: detail.allow }),
  };
}

function setCookie(cookie: string | undefined): Record<string, string> {
  return cookie === undefined ? {} : { 'Set-Cookie': cookie };
}
