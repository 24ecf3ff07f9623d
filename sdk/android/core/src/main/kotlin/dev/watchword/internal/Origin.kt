package dev.watchword.internal

/**
 * Scheme, host and port of a URL.
 *
 * @property scheme in lower case.
 * @property host in lower case; an IPv6 address in its brackets.
 * @property port the scheme's own where the URL names none.
 */
internal data class Origin(val scheme: String, val host: String, val port: Int) {
    /** Returns the origin as it stands before a path, its port left out where it is the scheme's own. */
    override fun toString(): String = "$scheme://$authority"

    /** Host and port as `Host` has them. */
    val authority: String get() = if (port == DEFAULT_PORTS[scheme]) host else "$host:$port"

    private val isLoopback: Boolean
        get() = host == "localhost" || host == "[::1]" || LOOPBACK.matches(host)

    companion object {
        private val DEFAULT_PORTS = mapOf("https" to 443, "http" to 80)
        private val LOOPBACK = Regex("127\\.(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(\\.(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})){2}")

        private val URL =
            Regex("([A-Za-z]+)://(?:[^/?#@\\\\\\s]*@)?([A-Za-z0-9._~%!$&'()*+,;=-]+|\\[[0-9A-Fa-f:.]+\\])(?::([0-9]{0,5}))?([/?#].*)?")

        /** Returns the origin of an absolute `http` or `https` URL without user information; null for anything else. */
        fun of(url: String): Origin? {
            val (scheme, host, port) = URL.matchEntire(url)?.destructured ?: return null
            val lower = scheme.lowercase(java.util.Locale.ROOT)
            val own = DEFAULT_PORTS[lower] ?: return null
            val number = if (port.isEmpty()) own else port.toInt()
            if (number !in 1..MAX_PORT) return null
            return Origin(lower, host.lowercase(java.util.Locale.ROOT), number)
        }

        /**
         * Returns the origin that a configuration names: TLS, or not over any network.
         *
         * @throws IllegalArgumentException if it is none, or has a path.
         */
        fun safe(url: String): Origin {
            val origin = of(url)
            require(origin != null && (origin.scheme == "https" || origin.isLoopback)) {
                "got '$url', expected an origin such as https://api.example, or with http on loopback"
            }
            require(url.removeSuffix("/").count { it == '/' } == 2 && '?' !in url && '#' !in url) {
                "got '$url', expected an origin without a path"
            }
            return origin
        }

        private const val MAX_PORT = 65535
    }
}
