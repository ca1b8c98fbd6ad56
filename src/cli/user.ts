import type { Command } from 'commander';
import {
  type AuthLevel,
  authLevels,
  createUser,
  generatePassword,
  listUsers,
  setPassword,
  setStatus,
  type UserFacts,
} from '../core/index.ts';
import { printJson, printLine, printTable } from './output.ts';
import { changeWithCore, localCaller, requireUser, UsageError, withCore } from './with-core.ts';

const generatedLength = 24;
const perPage = 500;

type JsonFlag = { readonly json?: boolean };
type PasswordFlag = { readonly passwordStdin?: boolean };

export function addUserCommands(program: Command): void {
  const user = program.command('user').description('users: add, list, disable, enable, passwd');
  user
    .command('add <login>')
    .description('add a user; prints a random first password unless one is given on standard input')
    .requiredOption('--email <address>', 'e-mail address, also a name to sign in with')
    .option('--level <AuthLevel>', `one of ${authLevels.join(', ')}`, 'MailboxUser')
    .option('--organization <id>', 'primary organization', '1')
    .option('--mailbox <id>', 'mailbox in it, 0 for none', '0')
    .option('--first-name <name>', '', '')
    .option('--last-name <name>', '', '')
    .option('--password-stdin', 'read the password from standard input, one line')
    .option('--json', 'print JSON')
    .action(add);
  user.command('list').description('list all users').option('--json', 'print JSON').action(list);
  user
    .command('disable <user>')
    .description('suspend a user (login or id): signed out everywhere at once; "user enable" undoes it')
    .option('--json', 'print JSON')
    .action((name: string, flags: JsonFlag) => changeStatus(name, 'Suspended', flags));
  user
    .command('enable <user>')
    .description('let a suspended user sign in again')
    .option('--json', 'print JSON')
    .action((name: string, flags: JsonFlag) => changeStatus(name, 'Active', flags));
  user
    .command('passwd <user>')
    .description('set a new password (random unless given on standard input); ends all sessions of the user')
    .option('--password-stdin', 'read the password from standard input, one line')
    .option('--json', 'print JSON')
    .action(passwd);
}

type AddFlags = JsonFlag &
  PasswordFlag & {
    readonly email: string;
    readonly level: string;
    readonly organization: string;
    readonly mailbox: string;
    readonly firstName: string;
    readonly lastName: string;
  };

async function add(login: string, flags: AddFlags): Promise<void> {
  const authLevel = requireLevel(flags.level);
  const mailboxId = requireId('--mailbox', flags.mailbox);
  const organizationId = requireId('--organization', flags.organization);
  const place = {
    organizationId: organizationId === 0 ? null : organizationId,
    mailboxId: mailboxId === 0 ? null : mailboxId,
  };
  const { email, firstName, lastName } = flags;
  const password = await choosePassword(flags);
  const facts = { login, email, firstName, lastName, authLevel, place, password };
  const user = await changeWithCore((core) => createUser(core, 'system', facts, localCaller()));
  const shown = flags.passwordStdin === true ? {} : { password };
  if (flags.json === true) return printJson({ ...user, ...shown });
  printLine(`Added user ${user.id} ${user.login} (${user.authLevel}).`);
  if (shown.password !== undefined) printLine(`Password, shown this once: ${shown.password}`);
}

async function list(flags: JsonFlag): Promise<void> {
  const users = await withCore(async (core) => {
    const all: UserFacts[] = [];
    for (let page = 1; ; page += 1) {
      const some = await listUsers(core, 'system', { page, perPage });
      all.push(...some);
      if (some.length < perPage) return all;
    }
  });
  if (flags.json === true) return printJson(users);
  const rows = users.map((user) => [
    String(user.id),
    user.login,
    user.email,
    user.authLevel,
    user.status,
    String(user.organizationId ?? '-'),
    String(user.mailboxId ?? '-'),
  ]);
  printTable(['ID', 'LOGIN', 'E-MAIL', 'LEVEL', 'STATUS', 'ORGANIZATION', 'MAILBOX'], rows);
}

async function changeStatus(name: string, status: 'Suspended' | 'Active', flags: JsonFlag): Promise<void> {
  const user = await changeWithCore(async (core) => {
    const target = await requireUser(core, name);
    return setStatus(core, 'system', target.id, status, localCaller());
  });
  if (flags.json === true) return printJson(user);
  const effect = status === 'Active' ? 'may sign in again' : 'is suspended and signed out everywhere';
  printLine(`User ${user.id} ${user.login} ${effect}.`);
}

async function passwd(name: string, flags: JsonFlag & PasswordFlag): Promise<void> {
  const password = await choosePassword(flags);
  const user = await changeWithCore(async (core) => {
    const target = await requireUser(core, name);
    await setPassword(core, 'system', target.id, password, localCaller());
    return target;
  });
  const shown = flags.passwordStdin === true ? {} : { password };
  if (flags.json === true) return printJson({ id: user.id, login: user.login, ...shown });
  printLine(`Set a new password for user ${user.id} ${user.login}; all sessions of the user have ended.`);
  if (shown.password !== undefined) printLine(`Password, shown this once: ${shown.password}`);
}

/** Never from the command line, where every user of the machine could read it. */
async function choosePassword(flags: PasswordFlag): Promise<string> {
  if (flags.passwordStdin !== true) return generatePassword(generatedLength);
  const text = await Bun.stdin.text();
  const [line = ''] = text.split(/\r?\n/);
  if (line === '') throw new UsageError('There was no password on standard input.');
  return line;
}

function requireLevel(text: string): AuthLevel {
  const level = authLevels.find((known) => known === text);
  if (level === undefined) throw new UsageError(`--level must be one of ${authLevels.join(', ')}.`);
  return level;
}

function requireId(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${option} must be a whole number.`);
  return Number(text);
}
