import type { CommandOptions } from '../connection/command-queue.ts';
import { commandLine } from '../wire/words.ts';
import { encodeInfoMessage, type InfoMessage } from '../notifications/info-message.ts';
import { QuestionCommands } from './question-commands.ts';
import { countOf, whole } from './daemon-commands.ts';

/** The commands of servers (`--mode server`). All throw as {@link AgentCommands.raw} does. */
export class ServerCommands extends QuestionCommands {
  /**
   * Lets a client of a CONNECT or REAUTH in.
   *
   * @param config directives for this client, as a client-connect script would write them
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT for a line `END`, control characters, more than 768 bytes in a line
   */
  async clientAuth(cid: number, kid: number, config: readonly string[], options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['client-auth', whole(cid), whole(kid)]), { ...options, body: config });
  }

  /** Lets a client in, with no directives of its own. */
  async clientAuthNt(cid: number, kid: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['client-auth-nt', whole(cid), whole(kid)]), options);
  }

  /**
   * Refuses a client.
   *
   * @param reason for the daemon's log
   * @param clientReason for the client, for example {@link encodeDynamicChallenge}'s text
   */
  async clientDeny(
    cid: number,
    kid: number,
    reason: string,
    clientReason?: string,
    options?: CommandOptions,
  ): Promise<void> {
    const words = [whole(cid), whole(kid), reason, ...(clientReason === undefined ? [] : [clientReason])];
    await this.raw(commandLine(['client-deny', ...words]), options);
  }

  /** Ends a client's session; `message` is what it is told, `RESTART` by default. */
  async clientKill(cid: number, message?: string, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['client-kill', whole(cid), ...(message === undefined ? [] : [message])]), options);
  }

  /**
   * Tells a client of a CONNECT that more is needed (2.5 on); `clientAuth` or `clientDeny` must follow. 2.5 takes
   * neither key ID nor timeout: they are left out there.
   *
   * @param seconds how long the client shall wait; the daemon limits it to its hand-window
   */
  async clientPendingAuth(
    cid: number,
    kid: number,
    extra: InfoMessage | string,
    seconds: number,
    options?: CommandOptions,
  ): Promise<void> {
    const text = typeof extra === 'string' ? extra : encodeInfoMessage(extra);
    const words =
      this.daemonVersion.management < 5 ? [whole(cid), text] : [whole(cid), whole(kid), text, whole(seconds)];
    await this.raw(commandLine(['client-pending-auth', ...words]), options);
  }

  /** Ends the sessions of all clients with a common name. Returns how many there were. */
  async killCommonName(commonName: string, options?: CommandOptions): Promise<number> {
    return this.#kill(commonName, options);
  }

  /**
   * Ends the session of the client at an IPv4 address. Returns how many there were. Up to 2.6 the daemon takes address
   * and port only: the protocol is left out there, whatever the management notes say (man_kill in manage.c).
   */
  async killAddress(protocol: 'tcp' | 'udp', host: string, port: number, options?: CommandOptions): Promise<number> {
    const place = `${host}:${whole(port)}`;
    return this.#kill(this.daemonVersion.management < 6 ? place : `${protocol}:${place}`, options);
  }

  /**
   * Changes options of all clients (2.7 on): `route 10.1.0.0 255.255.0.0, -dns`.
   *
   * @returns what the daemon said of each client before it said that the command succeeded
   */
  async pushUpdateBroad(update: string, options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw(commandLine(['push-update-broad', update]), options)).lines;
  }

  /** Changes options of one client (2.7 on), as {@link pushUpdateBroad} does of all. */
  async pushUpdateCid(cid: number, update: string, options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw(commandLine(['push-update-cid', whole(cid), update]), options)).lines;
  }

  async #kill(victim: string, options: CommandOptions | undefined): Promise<number> {
    const reply = await this.raw(commandLine(['kill', victim]), options);
    return countOf('kill', reply, /(?:^|found, )(\d+) client\(s\) /);
  }
}
