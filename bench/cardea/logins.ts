import type { BenchUser } from './users.ts';

export const soapPath = '/v4.1/prod/ECGridOS.asmx';
const soapNamespace = 'http://www.ecgridos.net/';

/** Signs in at each contract's own door. @returns what the client presents from then on */
export const logins = {
  rest: async (url: string, { login, password }: BenchUser) => {
    const answer = await post(`${url}/v2/auth/login`, jsonType, JSON.stringify({ login, password }));
    return find(await answer.text(), /"token":"([^"]+)"/);
  },
  web: async (url: string, { login, password }: BenchUser) => {
    const answer = await post(`${url}/auth/login`, jsonType, JSON.stringify({ email: login, password }));
    return find(await answer.text(), /"token":"([^"]+)"/);
  },
  hcx: async (url: string, { login, password }: BenchUser) => {
    const body = JSON.stringify({ authType: 'local', username: login, password });
    const answer = await post(`${url}/api/admin/v1/sessions`, jsonType, body);
    return find(answer.headers.get('x-hm-authorization') ?? '', /^(.+)$/);
  },
  soap: async (url: string, { login, password }: BenchUser) => {
    const parameters = `<UserName>${login}</UserName><Password>${password}</Password>`;
    const answer = await post(`${url}${soapPath}`, soapHeaders('Login'), soapEnvelope('Login', parameters));
    return find(await answer.text(), /<LoginResult>([^<]+)</);
  },
} as const;

const jsonType = { 'Content-Type': 'application/json' };

export function soapHeaders(operation: string): Record<string, string> {
  return { 'Content-Type': 'text/xml; charset=utf-8', SOAPAction: `"${soapNamespace}${operation}"` };
}

/** A request as the SOAP toolkits of the field write it. */
export function soapEnvelope(operation: string, parameters: string): string {
  const body = `<${operation} xmlns="${soapNamespace}">${parameters}</${operation}>`;
  const open = '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">';
  return `<?xml version="1.0" encoding="utf-8"?>\n${open}<soap:Body>${body}</soap:Body></soap:Envelope>`;
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<Response> {
  const answer = await fetch(url, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`a login at ${url} was answered ${answer.status}: ${await answer.text()}`);
  return answer;
}

function find(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error('a login gave no credential');
  return found;
}
