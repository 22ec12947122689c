# fish completion for pksigd
function __pksigd_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct | string unescape)
    set -l found ($words[1] completion fish -- $words[2..-1] "$word" 2>/dev/null)
    if test "$found[1]" = files
        set -l option (string match -r '^--[^=]+=' -- $word)
        for file in (__fish_complete_path (string replace -r '^--[^=]+=' '' -- $word))
            echo "$option$file"
        end
    end
    string join \n -- $found[2..-1]
end
complete -c pksigd -f -a '(__pksigd_complete)'
