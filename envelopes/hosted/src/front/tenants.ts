/** What the front knows of the tenants: where each one's process listens. Who runs them implements it. */
export interface Tenants {
  /** Whether there is a tenant of that name. */
  has(moduleId: string): boolean
  /**
   * The path of the socket on which its process answers; starts the process when it does not run.
   * @throws HostedError `no-tenant`, `tenant-unavailable`
   */
  reach(moduleId: string): Promise<string>
  /** The most that a record's payload may have at the process that was reached last; undefined: the default. */
  maxPayload?(moduleId: string): number | undefined
  /** A request to it is under way, and is over: a tenant without any may be stopped. */
  began(moduleId: string): void
  ended(moduleId: string): void
}
