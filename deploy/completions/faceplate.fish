# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_faceplate_global_optspecs
    string join \n h/help V/version
end

function __fish_faceplate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_faceplate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_faceplate_using_subcommand
    set -l cmd (__fish_faceplate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c faceplate -n "__fish_faceplate_needs_command" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_needs_command" -s V -l version -d 'Print version'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "serve" -d 'Run the proxy'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "demo" -d 'Run emulated vendors, the proxy and a gallery page on this machine'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "emulate" -d 'Run only the emulated vendors'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "check" -d 'Check the configuration, and report every problem at once'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "init" -d 'Print a configuration for a gateway, with a comment for every key'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "config" -d 'Print every value of the configuration that counts, with its origin. Secrets are not shown'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "doctor" -d 'Try everything that the configuration needs: cache, disk, DNS, credentials, sessions, clock'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "providers" -d 'List the gateways that can be used, or print the description of one'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "face" -d 'Show one face in the running server: its record, the headers that a request gets, and why. Asks no vendor'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "sign" -d 'Print a signed URL'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "warm" -d 'Fetch many faces in advance, within the instance\'s budget'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "cache" -d 'Inspect the cache directory, and maintain it. Safe while a server runs'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "healthcheck" -d 'Send a request to /readyz of a running server, for container probes'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "licenses" -d 'Print the licenses of all software and fonts in this program'
complete -c faceplate -n "__fish_faceplate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand serve" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand serve" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand demo" -l listen -d 'The address of the gallery' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand demo" -l admin -d 'The address of the admin listener with its dashboard; by default on a free port' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand demo" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand emulate" -l listen -d 'The address of the vendors\' API' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand emulate" -l cdn -d 'The address of the CDN that links to pictures point to' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand emulate" -l cdn-authority -d 'The CDN\'s host and port in links, if clients reach it under another name' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand emulate" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand check" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand check" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -l name -d 'The instance\'s name in the URLs of its faces; by default the gateway\'s' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -l account -d 'The gateway\'s name for the account' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -l base-url -d 'The URL of the gateway\'s API, if you host it' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -l secrets -d 'A directory of secrets, as Kubernetes, Docker and systemd mount them. Without it, secrets are in the environment' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand init" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand config" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand config" -l changed -d 'Print only the values that are not this program\'s defaults'
complete -c faceplate -n "__fish_faceplate_using_subcommand config" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -l explain -d 'Ask an instance about one face, which costs one look-up, and show how the reply is read. With --reply: a provider\'s name, or the file of its description, and nobody is asked' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -l reply -d 'The file with a gateway\'s reply' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -l status -d 'The status of that reply' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and not __fish_seen_subcommand_from show check help" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and not __fish_seen_subcommand_from show check help" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and not __fish_seen_subcommand_from show check help" -f -a "show" -d 'Print the description of one gateway'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and not __fish_seen_subcommand_from show check help" -f -a "check" -d 'Check a description\'s file and run its samples, without a configuration'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and not __fish_seen_subcommand_from show check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from check" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the description of one gateway'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check a description\'s file and run its samples, without a configuration'
complete -c faceplate -n "__fish_faceplate_using_subcommand providers; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand face" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand face" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand face" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand sign" -l ttl -d 'How long the URL is valid' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand sign" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand sign" -l refresh -d 'Allow the URL to refresh the face'
complete -c faceplate -n "__fish_faceplate_using_subcommand sign" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -l top -d 'How many chats' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -l chats -d 'Fetch the faces that the account chatted with last, from the vendor\'s list of chats'
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -l stop -d 'Stop the run of this instance in the running server'
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand warm" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "stats" -d 'Print the number of entries, pictures and bytes'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "list" -d 'List every entry, one on each line'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "verify" -d 'Read everything, and report damaged entries. Exits with 1 if there are any'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "gc" -d 'Evict faces beyond the limits and remove unused files, now'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "export" -d 'Write the archive (cache.retain = "forever") as files, with a manifest'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "rename" -d 'Give the faces of an account that no instance has any more to an instance'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "forget" -d 'Delete a face, and do not fetch it again for cache.forget_for'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and not __fish_seen_subcommand_from stats list verify gc export rename forget help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from stats" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from stats" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from list" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from list" -l show-jids -d 'Print JIDs in full'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from verify" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from gc" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from gc" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from export" -l instance -d 'Write only the pictures of this instance' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from export" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from export" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from rename" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from rename" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from forget" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from forget" -l json -d 'Print JSON'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "stats" -d 'Print the number of entries, pictures and bytes'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "list" -d 'List every entry, one on each line'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Read everything, and report damaged entries. Exits with 1 if there are any'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "gc" -d 'Evict faces beyond the limits and remove unused files, now'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the archive (cache.retain = "forever") as files, with a manifest'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Give the faces of an account that no instance has any more to an instance'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Delete a face, and do not fetch it again for cache.forget_for'
complete -c faceplate -n "__fish_faceplate_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand healthcheck" -l admin -d 'The address of the admin listener; without it, the one in the configuration' -r
complete -c faceplate -n "__fish_faceplate_using_subcommand healthcheck" -l config -d 'The configuration file' -r -F
complete -c faceplate -n "__fish_faceplate_using_subcommand healthcheck" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand licenses" -s h -l help -d 'Print help'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "serve" -d 'Run the proxy'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "demo" -d 'Run emulated vendors, the proxy and a gallery page on this machine'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "emulate" -d 'Run only the emulated vendors'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "check" -d 'Check the configuration, and report every problem at once'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "init" -d 'Print a configuration for a gateway, with a comment for every key'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "config" -d 'Print every value of the configuration that counts, with its origin. Secrets are not shown'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "doctor" -d 'Try everything that the configuration needs: cache, disk, DNS, credentials, sessions, clock'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "providers" -d 'List the gateways that can be used, or print the description of one'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "face" -d 'Show one face in the running server: its record, the headers that a request gets, and why. Asks no vendor'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "sign" -d 'Print a signed URL'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "warm" -d 'Fetch many faces in advance, within the instance\'s budget'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "cache" -d 'Inspect the cache directory, and maintain it. Safe while a server runs'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "healthcheck" -d 'Send a request to /readyz of a running server, for container probes'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "licenses" -d 'Print the licenses of all software and fonts in this program'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and not __fish_seen_subcommand_from serve demo emulate check init config doctor providers face sign warm cache healthcheck licenses help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from providers" -f -a "show" -d 'Print the description of one gateway'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from providers" -f -a "check" -d 'Check a description\'s file and run its samples, without a configuration'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "stats" -d 'Print the number of entries, pictures and bytes'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "list" -d 'List every entry, one on each line'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "verify" -d 'Read everything, and report damaged entries. Exits with 1 if there are any'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "gc" -d 'Evict faces beyond the limits and remove unused files, now'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "export" -d 'Write the archive (cache.retain = "forever") as files, with a manifest'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "rename" -d 'Give the faces of an account that no instance has any more to an instance'
complete -c faceplate -n "__fish_faceplate_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "forget" -d 'Delete a face, and do not fetch it again for cache.forget_for'
