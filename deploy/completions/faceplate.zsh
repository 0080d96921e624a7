#compdef faceplate

autoload -U is-at-least

_faceplate() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_faceplate_commands" \
"*::: :->faceplate" \
&& ret=0
    case $state in
    (faceplate)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
'--listen=[The address of the gallery]:ADDRESS:_default' \
'--admin=[The address of the admin listener with its dashboard; by default on a free port]:ADDRESS:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(emulate)
_arguments "${_arguments_options[@]}" : \
'--listen=[The address of the vendors'\'' API]:ADDRESS:_default' \
'--cdn=[The address of the CDN that links to pictures point to]:ADDRESS:_default' \
'--cdn-authority=[The CDN'\''s host and port in links, if clients reach it under another name]:HOST:PORT:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(init)
_arguments "${_arguments_options[@]}" : \
'--name=[The instance'\''s name in the URLs of its faces; by default the gateway'\''s]:NAME:_default' \
'--account=[The gateway'\''s name for the account]:ACCOUNT:_default' \
'--base-url=[The URL of the gateway'\''s API, if you host it]:URL:_default' \
'--secrets=[A directory of secrets, as Kubernetes, Docker and systemd mount them. Without it, secrets are in the environment]:DIR:_default' \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
':gateway -- The gateway'\''s name; `faceplate providers` lists them:_default' \
&& ret=0
;;
(config)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--changed[Print only the values that are not this program'\''s defaults]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'*--explain=[Ask an instance about one face, which costs one look-up, and show how the reply is read. With --reply\: a provider'\''s name, or the file of its description, and nobody is asked]:INSTANCE:_default' \
'--reply=[The file with a gateway'\''s reply]:FILE:_files' \
'--status=[The status of that reply]:N:_default' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(providers)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
":: :_faceplate__subcmd__providers_commands" \
"*::: :->providers" \
&& ret=0

    case $state in
    (providers)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-providers-command-$line[1]:"
        case $line[1] in
            (show)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name -- The gateway'\''s name:_default' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The file:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_faceplate__subcmd__providers__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-providers-help-command-$line[1]:"
        case $line[1] in
            (show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(face)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':instance -- The instance'\''s name:_default' \
':jid -- The JID, or `me`:_default' \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
'--ttl=[How long the URL is valid]:TTL:_default' \
'--config=[The configuration file]:FILE:_files' \
'--refresh[Allow the URL to refresh the face]' \
'-h[Print help]' \
'--help[Print help]' \
':instance -- The instance'\''s name:_default' \
':subject -- The JID, `me`, or `*` for every face of the instance:_default' \
&& ret=0
;;
(warm)
_arguments "${_arguments_options[@]}" : \
'--top=[How many chats]:TOP:_default' \
'--config=[The configuration file]:FILE:_files' \
'--chats[Fetch the faces that the account chatted with last, from the vendor'\''s list of chats]' \
'--stop[Stop the run of this instance in the running server]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':instance -- The instance'\''s name:_default' \
'::file -- A file with a JID on each line; `-` for standard input:_files' \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_faceplate__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-cache-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--show-jids[Print JIDs in full]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(gc)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
'--instance=[Write only the pictures of this instance]:INSTANCE:_default' \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- The folder to write to; it must be empty or missing:_files' \
&& ret=0
;;
(rename)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':old -- The name that the cache has; `faceplate cache stats` lists them:_default' \
':new -- The name of a configured instance:_default' \
&& ret=0
;;
(forget)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':instance -- The instance'\''s name, in the configuration or in the cache:_default' \
':subject -- The JID, or `me`:_default' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_faceplate__subcmd__cache__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-cache-help-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(gc)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(rename)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(forget)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(healthcheck)
_arguments "${_arguments_options[@]}" : \
'--admin=[The address of the admin listener; without it, the one in the configuration]:ADDRESS:_default' \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(licenses)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_faceplate__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-help-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(emulate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(init)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(config)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(providers)
_arguments "${_arguments_options[@]}" : \
":: :_faceplate__subcmd__help__subcmd__providers_commands" \
"*::: :->providers" \
&& ret=0

    case $state in
    (providers)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-help-providers-command-$line[1]:"
        case $line[1] in
            (show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(face)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(warm)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
":: :_faceplate__subcmd__help__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:faceplate-help-cache-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(gc)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(rename)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(forget)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(healthcheck)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(licenses)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_faceplate_commands] )) ||
_faceplate_commands() {
    local commands; commands=(
'serve:Run the proxy' \
'demo:Run emulated vendors, the proxy and a gallery page on this machine' \
'emulate:Run only the emulated vendors' \
'check:Check the configuration, and report every problem at once' \
'init:Print a configuration for a gateway, with a comment for every key' \
'config:Print every value of the configuration that counts, with its origin. Secrets are not shown' \
'doctor:Try everything that the configuration needs\: cache, disk, DNS, credentials, sessions, clock' \
'providers:List the gateways that can be used, or print the description of one' \
'face:Show one face in the running server\: its record, the headers that a request gets, and why. Asks no vendor' \
'sign:Print a signed URL' \
'warm:Fetch many faces in advance, within the instance'\''s budget' \
'cache:Inspect the cache directory, and maintain it. Safe while a server runs' \
'healthcheck:Send a request to /readyz of a running server, for container probes' \
'licenses:Print the licenses of all software and fonts in this program' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache_commands] )) ||
_faceplate__subcmd__cache_commands() {
    local commands; commands=(
'stats:Print the number of entries, pictures and bytes' \
'list:List every entry, one on each line' \
'verify:Read everything, and report damaged entries. Exits with 1 if there are any' \
'gc:Evict faces beyond the limits and remove unused files, now' \
'export:Write the archive (cache.retain = "forever") as files, with a manifest' \
'rename:Give the faces of an account that no instance has any more to an instance' \
'forget:Delete a face, and do not fetch it again for cache.forget_for' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate cache commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__export_commands] )) ||
_faceplate__subcmd__cache__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache export commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__forget_commands] )) ||
_faceplate__subcmd__cache__subcmd__forget_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache forget commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__gc_commands] )) ||
_faceplate__subcmd__cache__subcmd__gc_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache gc commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help_commands] )) ||
_faceplate__subcmd__cache__subcmd__help_commands() {
    local commands; commands=(
'stats:Print the number of entries, pictures and bytes' \
'list:List every entry, one on each line' \
'verify:Read everything, and report damaged entries. Exits with 1 if there are any' \
'gc:Evict faces beyond the limits and remove unused files, now' \
'export:Write the archive (cache.retain = "forever") as files, with a manifest' \
'rename:Give the faces of an account that no instance has any more to an instance' \
'forget:Delete a face, and do not fetch it again for cache.forget_for' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate cache help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__export_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help export commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__forget_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__forget_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help forget commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__gc_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__gc_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help gc commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__help_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__list_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help list commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__rename_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__rename_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help rename commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__stats_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help stats commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__help__subcmd__verify_commands] )) ||
_faceplate__subcmd__cache__subcmd__help__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache help verify commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__list_commands] )) ||
_faceplate__subcmd__cache__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache list commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__rename_commands] )) ||
_faceplate__subcmd__cache__subcmd__rename_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache rename commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__stats_commands] )) ||
_faceplate__subcmd__cache__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache stats commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__cache__subcmd__verify_commands] )) ||
_faceplate__subcmd__cache__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate cache verify commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__check_commands] )) ||
_faceplate__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate check commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__config_commands] )) ||
_faceplate__subcmd__config_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate config commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__demo_commands] )) ||
_faceplate__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate demo commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__doctor_commands] )) ||
_faceplate__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate doctor commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__emulate_commands] )) ||
_faceplate__subcmd__emulate_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate emulate commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__face_commands] )) ||
_faceplate__subcmd__face_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate face commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__healthcheck_commands] )) ||
_faceplate__subcmd__healthcheck_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate healthcheck commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help_commands] )) ||
_faceplate__subcmd__help_commands() {
    local commands; commands=(
'serve:Run the proxy' \
'demo:Run emulated vendors, the proxy and a gallery page on this machine' \
'emulate:Run only the emulated vendors' \
'check:Check the configuration, and report every problem at once' \
'init:Print a configuration for a gateway, with a comment for every key' \
'config:Print every value of the configuration that counts, with its origin. Secrets are not shown' \
'doctor:Try everything that the configuration needs\: cache, disk, DNS, credentials, sessions, clock' \
'providers:List the gateways that can be used, or print the description of one' \
'face:Show one face in the running server\: its record, the headers that a request gets, and why. Asks no vendor' \
'sign:Print a signed URL' \
'warm:Fetch many faces in advance, within the instance'\''s budget' \
'cache:Inspect the cache directory, and maintain it. Safe while a server runs' \
'healthcheck:Send a request to /readyz of a running server, for container probes' \
'licenses:Print the licenses of all software and fonts in this program' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache_commands] )) ||
_faceplate__subcmd__help__subcmd__cache_commands() {
    local commands; commands=(
'stats:Print the number of entries, pictures and bytes' \
'list:List every entry, one on each line' \
'verify:Read everything, and report damaged entries. Exits with 1 if there are any' \
'gc:Evict faces beyond the limits and remove unused files, now' \
'export:Write the archive (cache.retain = "forever") as files, with a manifest' \
'rename:Give the faces of an account that no instance has any more to an instance' \
'forget:Delete a face, and do not fetch it again for cache.forget_for' \
    )
    _describe -t commands 'faceplate help cache commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__export_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache export commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__forget_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__forget_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache forget commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__gc_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__gc_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache gc commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__list_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache list commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__rename_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__rename_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache rename commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__stats_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache stats commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__cache__subcmd__verify_commands] )) ||
_faceplate__subcmd__help__subcmd__cache__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help cache verify commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__check_commands] )) ||
_faceplate__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help check commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__config_commands] )) ||
_faceplate__subcmd__help__subcmd__config_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help config commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__demo_commands] )) ||
_faceplate__subcmd__help__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help demo commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__doctor_commands] )) ||
_faceplate__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help doctor commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__emulate_commands] )) ||
_faceplate__subcmd__help__subcmd__emulate_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help emulate commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__face_commands] )) ||
_faceplate__subcmd__help__subcmd__face_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help face commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__healthcheck_commands] )) ||
_faceplate__subcmd__help__subcmd__healthcheck_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help healthcheck commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__help_commands] )) ||
_faceplate__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__init_commands] )) ||
_faceplate__subcmd__help__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help init commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__licenses_commands] )) ||
_faceplate__subcmd__help__subcmd__licenses_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help licenses commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__providers_commands] )) ||
_faceplate__subcmd__help__subcmd__providers_commands() {
    local commands; commands=(
'show:Print the description of one gateway' \
'check:Check a description'\''s file and run its samples, without a configuration' \
    )
    _describe -t commands 'faceplate help providers commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__providers__subcmd__check_commands] )) ||
_faceplate__subcmd__help__subcmd__providers__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help providers check commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__providers__subcmd__show_commands] )) ||
_faceplate__subcmd__help__subcmd__providers__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help providers show commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__serve_commands] )) ||
_faceplate__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help serve commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__sign_commands] )) ||
_faceplate__subcmd__help__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help sign commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__help__subcmd__warm_commands] )) ||
_faceplate__subcmd__help__subcmd__warm_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate help warm commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__init_commands] )) ||
_faceplate__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate init commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__licenses_commands] )) ||
_faceplate__subcmd__licenses_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate licenses commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers_commands] )) ||
_faceplate__subcmd__providers_commands() {
    local commands; commands=(
'show:Print the description of one gateway' \
'check:Check a description'\''s file and run its samples, without a configuration' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate providers commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__check_commands] )) ||
_faceplate__subcmd__providers__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate providers check commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__help_commands] )) ||
_faceplate__subcmd__providers__subcmd__help_commands() {
    local commands; commands=(
'show:Print the description of one gateway' \
'check:Check a description'\''s file and run its samples, without a configuration' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'faceplate providers help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__help__subcmd__check_commands] )) ||
_faceplate__subcmd__providers__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate providers help check commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__help__subcmd__help_commands] )) ||
_faceplate__subcmd__providers__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate providers help help commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__help__subcmd__show_commands] )) ||
_faceplate__subcmd__providers__subcmd__help__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate providers help show commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__providers__subcmd__show_commands] )) ||
_faceplate__subcmd__providers__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate providers show commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__serve_commands] )) ||
_faceplate__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate serve commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__sign_commands] )) ||
_faceplate__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate sign commands' commands "$@"
}
(( $+functions[_faceplate__subcmd__warm_commands] )) ||
_faceplate__subcmd__warm_commands() {
    local commands; commands=()
    _describe -t commands 'faceplate warm commands' commands "$@"
}

if [ "$funcstack[1]" = "_faceplate" ]; then
    _faceplate "$@"
else
    compdef _faceplate faceplate
fi
