import type { Command } from 'commander'

/** How a command is used, as a document: the same that its help prints for people. */
export function helpOf(command: Command) {
  const help = command.createHelp()
  return {
    name: command.name(),
    aliases: command.aliases(),
    usage: help.commandUsage(command),
    description: command.description(),
    arguments: command.registeredArguments.map((one) => ({
      name: one.name(),
      description: one.description,
      required: one.required,
    })),
    options: help
      .visibleOptions(command)
      .map(({ flags, description, mandatory }) => ({ flags, description, required: mandatory })),
    commands: help
      .visibleCommands(command)
      .map((inner) => ({ name: inner.name(), aliases: inner.aliases(), description: inner.description() })),
  }
}
