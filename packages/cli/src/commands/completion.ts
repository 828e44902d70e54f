import { Argument, type Command } from 'commander'
import { commandTree, type CommandNode } from '../command-tree.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { zshCompletion } from '../completion/zsh.ts'
import type { Io } from '../io.ts'
import { perform } from '../perform.ts'

const SHELLS: Readonly<Record<string, (program: CommandNode) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

const HOW = `
The Debian package installs the scripts. Elsewhere, write the script to the file that your shell reads:
  bash: ~/.local/share/bash-completion/completions/service-fs
  zsh: _service-fs in a directory of $fpath
  fish: ~/.config/fish/completions/service-fs.fish`

/** `completion`: prints a script that completes command lines. */
export function addCompletion(program: Command, io: Io): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .description('print a script that completes the commands, options and paths of service-fs in a shell')
    .addHelpText('after', HOW)
    .action((shell: string) => perform(io, false, () => io.out(SHELLS[shell]?.(commandTree(program)) ?? '')))
}
