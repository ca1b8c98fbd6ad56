// The server of the npm package `soap`, with sessions in a map, answering the same operation as Cardea's door.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { listen } from 'soap';
import { announce, users } from './listen.mjs';

const namespace = 'http://www.ecgridos.net/';
const sessions = new Map(users.map((user) => [randomUUID().toUpperCase(), user]));
const created = new Date();
const service = {
  ECGridOS: {
    ECGridOSPort: {
      SessionInfo: ({ SessionID }) => {
        const user = sessions.get(SessionID);
        if (user === undefined) throw new Error('Invalid SessionID');
        return {
          SessionInfoResult: {
            SessionID,
            UserID: user.id,
            NetworkID: user.networkId,
            MailboxID: user.mailboxId,
            Created: created.toISOString(),
            Expires: new Date(created.getTime() + 3_600_000).toISOString(),
          },
        };
      },
    },
  },
};
const server = createServer();
listen(server, '/session', service, readFileSync(new URL('session-info.wsdl', import.meta.url), 'utf8'));
const requests = [...sessions.keys()].map((id) => ({
  headers: { 'Content-Type': 'text/xml; charset=utf-8', SOAPAction: `"${namespace}SessionInfo"` },
  body:
    '<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>' +
    `<SessionInfo xmlns="${namespace}"><SessionID>${id}</SessionID></SessionInfo></soap:Body></soap:Envelope>`,
}));
server.listen(0, '127.0.0.1', () => {
  announce(server.address().port, { method: 'POST', path: '/session', requests, contains: 'UserID>10' });
});
