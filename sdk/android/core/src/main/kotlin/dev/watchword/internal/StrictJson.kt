package dev.watchword.internal

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/** Says that something isn't a JSON object of the protocol; holds nothing of it. */
internal class MalformedException(message: String) : Exception(message)

/**
 * Reads and writes JSON objects: UTF-8, no byte order mark, no key twice, no NaN, at most [MAX_DEPTH] levels.
 *
 * Values are [String], [Long], [Double], [Boolean], null, [List] and [Map], maps in the order in which they were written.
 */
internal object StrictJson {
    const val MAX_DEPTH = 8

    /**
     * Returns the object in [data].
     *
     * @param limit most bytes that are accepted, looked at before anything is read.
     * @throws MalformedException if it isn't one.
     */
    fun read(data: ByteArray, limit: Int): Map<String, Any?> {
        if (data.size > limit) throw MalformedException("got ${data.size} bytes, expected at most $limit")
        val decoder =
            Charsets.UTF_8.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT)
        val text =
            try {
                decoder.decode(ByteBuffer.wrap(data)).toString()
            } catch (_: CharacterCodingException) {
                throw MalformedException("got bytes that aren't UTF-8")
            }
        return Reader(text).document()
    }

    /**
     * Returns [value] as compact UTF-8, members in their map's order.
     *
     * @throws IllegalArgumentException on what JSON hasn't: NaN, half of a surrogate pair, another class.
     */
    fun write(value: Any?): ByteArray = StringBuilder().also { put(it, value) }.toString().toByteArray(Charsets.UTF_8)

    private fun put(out: StringBuilder, value: Any?) {
        when (value) {
            null, is Boolean, is Int, is Long -> out.append(value)

            is Double -> {
                require(value.isFinite()) { "got a number that isn't finite" }
                out.append(value)
            }

            is String -> putText(out, value)

            is List<*> -> {
                out.append('[')
                value.forEachIndexed { index, each ->
                    if (index > 0) out.append(',')
                    put(out, each)
                }
                out.append(']')
            }

            is Map<*, *> -> {
                out.append('{')
                value.entries.forEachIndexed { index, (name, each) ->
                    if (index > 0) out.append(',')
                    putText(out, requireNotNull(name as? String) { "got a name that isn't text" })
                    out.append(':')
                    put(out, each)
                }
                out.append('}')
            }

            else -> throw IllegalArgumentException("got a ${value.javaClass.name}, which JSON hasn't")
        }
    }

    private fun putText(out: StringBuilder, text: String) {
        require(isPaired(text)) { "got half of a surrogate pair" }
        out.append('"')
        for (character in text) {
            when (character) {
                '"' -> out.append("\\\"")

                '\\' -> out.append("\\\\")

                '\n' -> out.append("\\n")

                '\r' -> out.append("\\r")

                '\t' -> out.append("\\t")

                '\b' -> out.append("\\b")

                '\u000c' -> out.append("\\f")

                else ->
                    if (character < ' ') {
                        out.append("\\u00").append(HEX[character.code shr 4]).append(HEX[character.code and 15])
                    } else {
                        out.append(character)
                    }
            }
        }
        out.append('"')
    }

    /** Tells whether every surrogate has its other half. */
    private fun isPaired(text: String): Boolean {
        var at = 0
        while (at < text.length) {
            val character = text[at++]
            if (character.isLowSurrogate()) return false
            if (character.isHighSurrogate() && !(at < text.length && text[at++].isLowSurrogate())) return false
        }
        return true
    }

    private const val HEX = "0123456789abcdef"

    private class Reader(private val text: String) {
        private var at = 0

        fun document(): Map<String, Any?> {
            blank()
            if (peek() != '{') refuse("expected an object")
            val value = members(1)
            blank()
            if (at != text.length) refuse("expected nothing more")
            return value
        }

        private fun value(depth: Int): Any? = when (peek()) {
            '{' -> members(depth + 1)
            '[' -> items(depth + 1)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }

        private fun members(depth: Int): Map<String, Any?> {
            val out = LinkedHashMap<String, Any?>()
            list('{', '}', depth) {
                if (peek() != '"') refuse("expected a name")
                val name = string()
                blank()
                take(':')
                blank()
                if (name in out) refuse("got a name twice")
                out[name] = value(depth)
            }
            return out
        }

        private fun items(depth: Int): List<Any?> {
            val out = ArrayList<Any?>()
            list('[', ']', depth) { out += value(depth) }
            return out
        }

        private inline fun list(open: Char, close: Char, depth: Int, element: () -> Unit) {
            if (depth > MAX_DEPTH) refuse("got more than $MAX_DEPTH levels")
            take(open)
            blank()
            if (peek() == close) {
                at++
                return
            }
            while (true) {
                element()
                blank()
                if (peek() == close) break
                take(',')
                blank()
            }
            at++
        }

        private fun string(): String {
            take('"')
            val out = StringBuilder()
            while (true) {
                val character = next()
                when {
                    character == '"' -> break
                    character == '\\' -> out.append(escaped())
                    character < ' ' -> refuse("got a control character in a text")
                    else -> out.append(character)
                }
            }
            return out.toString().also { if (!isPaired(it)) refuse("got half of a surrogate pair") }
        }

        private fun escaped(): Char = when (val character = next()) {
            '"', '\\', '/' -> character

            'b' -> '\b'

            'f' -> '\u000c'

            'n' -> '\n'

            'r' -> '\r'

            't' -> '\t'

            'u' -> {
                var code = 0
                repeat(4) {
                    val digit = "0123456789abcdef".indexOf(next().lowercaseChar())
                    if (digit < 0) refuse("got an escape that isn't one")
                    code = code * 16 + digit
                }
                code.toChar()
            }

            else -> refuse("got an escape that isn't one")
        }

        private fun number(): Any {
            val found = NUMBER.find(text, at)
            if (found == null || found.range.first != at) refuse("expected a value")
            at = found.range.last + 1
            if (found.groupValues[1].isEmpty()) {
                return found.value.toLongOrNull() ?: refuse("got a number of more than 64 bits")
            }
            val value = found.value.toDouble()
            if (!value.isFinite()) refuse("got a number out of range")
            return value
        }

        private fun <T> word(word: String, value: T): T {
            if (!text.startsWith(word, at)) refuse("expected a value")
            at += word.length
            return value
        }

        private fun blank() {
            while (at < text.length && text[at] in " \t\r\n") at++
        }

        private fun peek(): Char = if (at < text.length) text[at] else refuse("got too little")

        private fun next(): Char = peek().also { at++ }

        private fun take(wanted: Char) {
            if (next() != wanted) refuse("expected '$wanted'")
        }

        private fun refuse(what: String): Nothing = throw MalformedException("got invalid JSON: $what at character $at")
    }

    private val NUMBER = Regex("-?(?:0|[1-9][0-9]{0,400})((?:\\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,9})?)")
}

/** Returns a member that is a text of at least one character; refuses anything else. */
internal fun Map<String, Any?>.text(name: String): String =
    (this[name] as? String)?.takeIf { it.isNotEmpty() } ?: throw MalformedException("expected the text '$name'")

/** Returns a member that is a finite number of at least 0; refuses anything else. */
internal fun Map<String, Any?>.seconds(name: String): Double =
    (this[name] as? Number)?.toDouble()?.takeIf { it >= 0 } ?: throw MalformedException("expected the number '$name'")

/** Returns a member that is an object; refuses anything else. */
internal fun Map<String, Any?>.members(name: String): Map<String, Any?> =
    objectOf(this[name]) ?: throw MalformedException("expected the object '$name'")

/** Returns [value] if it is an object of a document that was read, else null. */
internal fun objectOf(value: Any?): Map<String, Any?>? {
    if (value !is Map<*, *>) return null
    @Suppress("UNCHECKED_CAST") // The reader makes no other maps.
    return value as Map<String, Any?>
}
