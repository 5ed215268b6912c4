"""The service's network: two public subnets, endpoints, the load balancer with TLS, and the firewall.

No access logs of the load balancer and no sampled requests of the firewall:
both write whole addresses, and an address of playback holds a ticket.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.policy import TABLES
from deploy.aws.cloudformation.template import TAGS, Json, allow, att, document, ref, resource, sub
from panzoto.config import Settings

EVERYWHERE = "0.0.0.0/0"
# Calls of one address in five minutes, all of them and those at which passwords can be guessed.
RATE = 3000
SIGN_IN_RATE = 100
SIGN_INS = ("/api/login", "/api/register", "/api/recover", "/api/password/", "/api/decrypt-audio")


def network() -> Json:
    """The network in two zones. Tasks have addresses, at which only the load balancer reaches them."""

    def subnet(number: int) -> Json:
        return resource(
            "EC2::Subnet",
            {
                "VpcId": ref("Vpc"),
                "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]},
                "CidrBlock": {"Fn::Select": [number, {"Fn::Cidr": [ref("Network"), 2, 12]}]},
                "Tags": TAGS,
            },
        )

    def routed(name: str) -> Json:
        return resource(
            "EC2::SubnetRouteTableAssociation", {"SubnetId": ref(name), "RouteTableId": ref("Routes")}
        )

    return {
        "Vpc": resource(
            "EC2::VPC",
            {
                "CidrBlock": ref("Network"),
                "EnableDnsSupport": True,
                "EnableDnsHostnames": True,
                "Tags": [*TAGS, {"Key": "Name", "Value": "panzoto"}],
            },
        ),
        "Gateway": resource("EC2::InternetGateway", {"Tags": TAGS}),
        "GatewayAttachment": resource(
            "EC2::VPCGatewayAttachment", {"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gateway")}
        ),
        "FirstSubnet": subnet(0),
        "SecondSubnet": subnet(1),
        "Routes": resource("EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": TAGS}),
        "Route": resource(
            "EC2::Route",
            {
                "RouteTableId": ref("Routes"),
                "DestinationCidrBlock": EVERYWHERE,
                "GatewayId": ref("Gateway"),
            },
            DependsOn="GatewayAttachment",
        ),
        "FirstRoutes": routed("FirstSubnet"),
        "SecondRoutes": routed("SecondSubnet"),
        "BalancerGroup": _group(
            "The load balancer", [_from(443, CidrIp=EVERYWHERE), _from(80, CidrIp=EVERYWHERE)]
        ),
        "TaskGroup": _group("Tasks", [_from(5000, SourceSecurityGroupId=ref("BalancerGroup"))]),
        "EndpointGroup": _group("Endpoints", [_from(443, SourceSecurityGroupId=ref("TaskGroup"))]),
    }


def _from(port: int, **source: Any) -> Json:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}


def _group(whose: str, rules: list[Json]) -> Json:
    return resource(
        "EC2::SecurityGroup",
        {
            "GroupDescription": f"{whose} of Panzoto",
            "VpcId": ref("Vpc"),
            "SecurityGroupIngress": rules,
            "Tags": TAGS,
        },
    )


def endpoints(settings: Settings, bucket_arn: Any, queue_arns: list[Any]) -> Json:
    """Ways to DynamoDB, S3 and SQS inside AWS, which lead to this deployment's own resources only."""
    table = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"
    names = [getattr(settings, f"{name}_table") for name in TABLES]
    tables = [sub(f"{table}{name}{index}") for name in names for index in ("", "/index/*")]
    # The layers of images lie in a bucket of AWS's own.
    layers = sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*")

    def policy(actions: list[str], resources: list[Any]) -> Json:
        return document([{**allow(actions, resources), "Principal": "*"}])

    def gateway(service: str, rights: Json) -> Json:
        return resource(
            "EC2::VPCEndpoint",
            {
                "VpcEndpointType": "Gateway",
                "ServiceName": sub("com.amazonaws.${AWS::Region}." + service),
                "VpcId": ref("Vpc"),
                "RouteTableIds": [ref("Routes")],
                "PolicyDocument": rights,
            },
        )

    return {
        "DynamoEndpoint": gateway("dynamodb", policy(["dynamodb:*"], tables)),
        "S3Endpoint": gateway(
            "s3", policy(["s3:*"], [bucket_arn, sub("${Bucket}/*", Bucket=bucket_arn), layers])
        ),
        "QueueEndpoint": resource(
            "EC2::VPCEndpoint",
            {
                "VpcEndpointType": "Interface",
                "ServiceName": sub("com.amazonaws.${AWS::Region}.sqs"),
                "VpcId": ref("Vpc"),
                "SubnetIds": [ref("FirstSubnet"), ref("SecondSubnet")],
                "SecurityGroupIds": [ref("EndpointGroup")],
                "PrivateDnsEnabled": True,
                "PolicyDocument": policy(["sqs:*"], queue_arns),
            },
        ),
    }


def load_balancer(port: int) -> Json:
    """TLS to the outside, HTTP to the tasks; HTTP from outside is sent to HTTPS."""
    attributes = {
        "routing.http.drop_invalid_header_fields.enabled": "true",
        # gunicorn keeps a connection for 75 s, so that it is this side that closes it.
        "idle_timeout.timeout_seconds": "60",
        "routing.http.xff_header_processing.mode": "append",
    }
    to_https = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    }
    hsts = "routing.http.response.strict_transport_security.header_value"
    return {
        "LoadBalancer": resource(
            "ElasticLoadBalancingV2::LoadBalancer",
            {
                "Name": "panzoto",
                "Type": "application",
                "Scheme": "internet-facing",
                "Subnets": [ref("FirstSubnet"), ref("SecondSubnet")],
                "SecurityGroups": [ref("BalancerGroup")],
                "LoadBalancerAttributes": [{"Key": key, "Value": value} for key, value in attributes.items()],
                "Tags": TAGS,
            },
            DependsOn="GatewayAttachment",
        ),
        "TargetGroup": resource(
            "ElasticLoadBalancingV2::TargetGroup",
            {
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": port,
                "VpcId": ref("Vpc"),
                # Not whether AWS answers: a DynamoDB that is slow for all would have every task replaced.
                "HealthCheckPath": "/api/health",
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": "120"},
                    {"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"},
                ],
                "Tags": TAGS,
            },
        ),
        "Listener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTPS",
                "Port": 443,
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": ref("CertificateArn")}],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("TargetGroup")}],
                "ListenerAttributes": [{"Key": hsts, "Value": "max-age=63072000; includeSubDomains"}],
            },
        ),
        "PlainListener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTP",
                "Port": 80,
                "DefaultActions": [to_https],
            },
        ),
    }


def firewall() -> Json:
    """Rates of one address, far above a phone's; the service has finer ones of its own."""

    def visible(name: str) -> Json:
        return {
            "CloudWatchMetricsEnabled": True,
            "MetricName": f"panzoto-{name}",
            "SampledRequestsEnabled": False,
        }

    def begins(path: str) -> Json:
        return {
            "ByteMatchStatement": {
                "FieldToMatch": {"UriPath": {}},
                "PositionalConstraint": "STARTS_WITH",
                "SearchString": path,
                "TextTransformations": [{"Priority": 0, "Type": "NORMALIZE_PATH"}],
            }
        }

    def rate(name: str, priority: int, limit: int, **scope: Json) -> Json:
        statement = {
            "AggregateKeyType": "IP",
            "Limit": limit,
            "EvaluationWindowSec": 300,
            **({"ScopeDownStatement": scope["scope"]} if scope else {}),
        }
        return {
            "Name": name,
            "Priority": priority,
            # In the contract's own shape: an error is JSON and says when to come back.
            "Action": {
                "Block": {
                    "CustomResponse": {
                        "ResponseCode": 429,
                        "CustomResponseBodyKey": "TooMany",
                        "ResponseHeaders": [{"Name": "Retry-After", "Value": "300"}],
                    }
                }
            },
            "Statement": {"RateBasedStatement": statement},
            "VisibilityConfig": visible(name),
        }

    sign_ins = {"OrStatement": {"Statements": [begins(path) for path in SIGN_INS]}}
    too_many = '{"error": "Too many requests; please wait", "code": "too_many_requests", "request_id": ""}'
    return {
        "Firewall": resource(
            "WAFv2::WebACL",
            {
                "Name": "panzoto",
                "Scope": "REGIONAL",
                "DefaultAction": {"Allow": {}},
                "Rules": [
                    rate("sign-ins", 0, SIGN_IN_RATE, scope=sign_ins),
                    rate("all-calls", 1, RATE),
                ],
                "CustomResponseBodies": {"TooMany": {"ContentType": "APPLICATION_JSON", "Content": too_many}},
                "VisibilityConfig": visible("firewall"),
                "Tags": TAGS,
            },
        ),
        "FirewallAssociation": resource(
            "WAFv2::WebACLAssociation",
            {"ResourceArn": ref("LoadBalancer"), "WebACLArn": att("Firewall")},
        ),
    }
